//! Tests of taking turns.

use super::*;

fn tenant(name: &str) -> Share {
    Share::Tenant(CanonicalId::stored(name.to_owned()))
}

fn slots(slots: usize, leaves_room: bool, waiting_max: usize) -> Slots {
    Slots::new(Limits { slots, leaves_room, waiting_max, wait_max: Duration::from_secs(3600) })
}

#[test]
fn lines_are_served_in_turn_and_each_in_its_order() {
    let mut queue = FairQueue::new(100);
    for number in 0..5 {
        assert!(queue.push(tenant("a"), ("a", number)).is_none());
    }
    for (name, number) in [("b", 0), ("c", 0), ("c", 1)] {
        assert!(queue.push(tenant(name), (name, number)).is_none());
    }
    let mut taken = Vec::new();
    queue.take(&mut taken, 6);
    assert_eq!(taken, [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("c", 1), ("a", 2)]);
    queue.take(&mut taken, 6);
    assert_eq!((&taken[6..], queue.len()), (&[("a", 3), ("a", 4)][..], 0));
}

#[test]
fn who_waits_alone_is_next_however_many_of_another_wait() {
    let mut queue = FairQueue::new(4096);
    for number in 0..500 {
        queue.push(tenant("many"), number);
    }
    queue.push(tenant("one"), 1000);
    let mut taken = Vec::new();
    queue.take(&mut taken, 2);
    assert!(taken.contains(&1000), "{taken:?}");
}

#[test]
fn a_full_queue_refuses_the_newest_of_the_longest_line() {
    let mut queue = FairQueue::new(3);
    for number in 0..3 {
        queue.push(tenant("a"), number);
    }
    assert_eq!(queue.push(tenant("a"), 3), Some(3), "one's own line is the longest");
    assert_eq!(queue.push(tenant("b"), 10), Some(2));
    assert_eq!(queue.push(tenant("b"), 11), Some(11), "lines that are about as long are left alone");
    assert_eq!(queue.push(tenant("c"), 20), Some(1));
    let mut taken = Vec::new();
    queue.take(&mut taken, 10);
    assert_eq!(taken, [0, 10, 20]);
}

#[tokio::test]
async fn places_are_given_on_in_turn_and_none_is_lost() {
    let slots = slots(2, false, 100);
    let (many, one) = (tenant("many"), tenant("one"));
    let held = [slots.take(&many).await.unwrap(), slots.take(&many).await.unwrap()];
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for share in [&many, &many, &many, &one] {
        let (slots, share, order) = (slots.clone(), share.clone(), order.clone());
        tasks.push(tokio::spawn(async move {
            let slot = slots.take(&share).await.unwrap();
            order.lock().unwrap().push(share);
            tokio::task::yield_now().await;
            drop(slot);
        }));
        tokio::task::yield_now().await;
    }
    drop(held);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(order.lock().unwrap()[1], one, "the second of the places that came free is its");
    let state = slots.0.lock();
    assert_eq!((state.free, state.held.len(), state.waiting.len()), (2, 0, 0));
}

#[tokio::test]
async fn a_share_never_has_all_places_and_does_not_stand_in_others_way() {
    let slots = slots(3, true, 100);
    let (greedy, other) = (tenant("greedy"), tenant("other"));
    let held = [slots.take(&greedy).await.unwrap(), slots.take(&greedy).await.unwrap()];
    let waiting = tokio::spawn({
        let (slots, greedy) = (slots.clone(), greedy.clone());
        async move { slots.take(&greedy).await.map(drop) }
    });
    tokio::task::yield_now().await;
    let of_other = slots.take(&other).await.unwrap();
    drop(of_other);
    assert!(!waiting.is_finished());
    drop(held);
    waiting.await.unwrap().unwrap();
    assert_eq!(slots.0.lock().free, 3);
}

#[test]
fn who_comes_later_still_finds_places() {
    let slots = slots(64, true, 100);
    let mut held = Vec::new();
    let shares: Vec<usize> = (0..6)
        .map(|number| {
            let share = tenant(&format!("tenant {number}"));
            let of_one: Vec<Slot> = std::iter::from_fn(|| slots.try_take(&share)).collect();
            let count = of_one.len();
            held.push(of_one);
            count
        })
        .collect();
    assert_eq!(shares, [32, 16, 8, 4, 2, 1]);
    assert!(slots.try_take(&tenant("next")).is_some());
    held.clear();
    assert_eq!(slots.0.lock().free, 64);
}

#[tokio::test]
async fn a_place_that_comes_back_may_let_two_in() {
    let slots = slots(3, true, 100);
    let (one, two) = (tenant("one"), tenant("two"));
    let of_one = slots.try_take(&one).unwrap();
    let of_two = slots.try_take(&two).unwrap();
    let waiting = [&two, &one].map(|share| match slots.take_or_wait(share) {
        Taken::Now(_) => panic!("each has as many as are free"),
        Taken::Later(receiver) => receiver,
    });
    drop(of_one);
    let [mut second_of_two, mut again_of_one] = waiting;
    let given = (second_of_two.try_recv().unwrap(), again_of_one.try_recv().unwrap());
    assert_eq!(slots.0.lock().free, 0);
    drop((of_two, given));
    assert_eq!(slots.0.lock().free, 3);
}

#[tokio::test]
async fn too_many_who_wait_are_refused_and_who_went_away_costs_no_place() {
    let slots = slots(1, true, 1);
    let (one, two) = (tenant("one"), tenant("two"));
    let held = slots.take(&one).await.unwrap();
    let waiting = tokio::spawn({
        let (slots, two) = (slots.clone(), two.clone());
        async move { slots.take(&two).await.map(drop) }
    });
    tokio::task::yield_now().await;
    assert!(matches!(slots.take(&two).await, Err(Error::Busy)));
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    drop(held);
    assert_eq!(slots.0.lock().free, 1);
    drop(slots.take(&two).await.unwrap());
}

#[tokio::test]
async fn nobody_waits_for_ever() {
    let wait_max = Duration::from_millis(10);
    let slots = Slots::new(Limits { slots: 1, leaves_room: true, waiting_max: 10, wait_max });
    let held = slots.take(&Share::Store).await.unwrap();
    assert!(matches!(slots.take(&Share::Store).await, Err(Error::Busy)));
    drop(held);
    assert_eq!(slots.0.lock().free, 1);
}
