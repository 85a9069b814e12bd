//! That the journal has what was committed, and nothing else.

use std::cell::Cell;
use std::time::Duration;

use super::*;
use crate::ClockHand;

struct World {
    journal: Journal,
    settings: Settings,
    clock: ClockHand,
    /// What the database takes next.
    before: Cell<i64>,
    _directory: tempfile::TempDir,
}

fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let (clock, hand) = Clock::movable();
    let settings = Settings { clock, ..Settings::new(directory.path()) };
    World { journal: Journal::new(&settings), settings, clock: hand, before: Cell::new(1), _directory: directory }
}

impl World {
    async fn note(&self, name: &str, next: Option<i64>) {
        let notes = vec![Note::other(How::Made, "thing", name)];
        match next {
            Some(next) => {
                self.journal.write_blocking(&notes, Numbers { before: self.before.replace(next), next });
            }
            None => self.journal.write(notes).await,
        }
    }

    /// Ends the process, and begins another one, whose database takes a number next.
    async fn start_again(&mut self, next: Option<i64>) {
        self.journal = Journal::new(&self.settings);
        self.journal.start(next).await;
        next.into_iter().for_each(|next| self.before.set(next));
    }

    fn look(&self) -> (Vec<String>, Told) {
        let (disk, folder, mut names) = (&*self.settings.disk, self.settings.data_dir.join(FOLDER), Vec::new());
        let outline = Outline::look(disk, &folder, 0).unwrap();
        let told = read(disk, &folder, 0, &outline, |_, note| {
            let Note::Other { name, .. } = note else { panic!("{note:?}") };
            names.push(name);
            Ok(())
        });
        (names, told.unwrap())
    }

    fn names(&self) -> Vec<String> {
        let (names, told) = self.look();
        assert_eq!((told.damaged_line_count, told.gaps.len()), (0, 0), "{told:?}");
        names
    }
}

#[tokio::test]
async fn a_commit_that_the_database_has_not_is_taken_back_at_the_next_start() {
    let mut world = world();
    world.note("a", Some(2)).await;
    world.note("b", Some(3)).await;
    world.start_again(Some(3)).await;
    assert_eq!(world.names(), ["a", "b"]);
    world.note("c", Some(4)).await;
    world.note("d", Some(6)).await;
    world.start_again(Some(4)).await;
    assert_eq!(world.names(), ["a", "b", "c"]);
    // Numbers are given again that were not used.
    world.note("e", Some(6)).await;
    world.start_again(Some(6)).await;
    assert_eq!(world.names(), ["a", "b", "c", "e"]);
    world.note("without a number", None).await;
    world.start_again(None).await;
    assert_eq!(world.names().len(), 5);
}

#[tokio::test]
async fn an_old_database_takes_no_names_away() {
    let mut world = world();
    for (name, next) in [("a", 2), ("b", 3), ("c", 4)] {
        world.note(name, Some(next)).await;
        world.clock.advance(Duration::from_secs(20));
    }
    world.start_again(Some(2)).await;
    assert_eq!(world.names(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_commit_that_failed_is_taken_back_at_once() {
    let world = world();
    world.note("a", Some(2)).await;
    world.note("b", Some(3)).await;
    world.journal.take_back_blocking(3);
    world.before.set(2);
    world.note("c", Some(4)).await;
    // One that is to be written anew meanwhile changes nothing.
    world.note("d", Some(5)).await;
    world.journal.begin_anew().await;
    world.journal.take_back_blocking(5);
    assert_eq!(world.names(), ["a", "c"]);
}

#[tokio::test]
async fn a_line_without_an_end_is_none() {
    let mut world = world();
    world.note("a", Some(2)).await;
    let file = list(&*world.settings.disk, &world.settings.data_dir.join(FOLDER)).unwrap().pop().unwrap().path;
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.extend_from_slice(b"0123abcd {\"at_us\"");
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(world.names(), ["a"]);
    world.start_again(Some(2)).await;
    world.note("b", Some(3)).await;
    assert_eq!(world.names(), ["a", "b"]);
}

#[tokio::test]
async fn commits_that_nobody_noted_are_missed() {
    let mut world = world();
    world.start_again(Some(1)).await;
    world.note("a", Some(2)).await;
    world.start_again(Some(5)).await;
    world.note("b", Some(6)).await;
    let (names, told) = world.look();
    assert_eq!((names.len(), told.gaps.len(), told.is_whole_since(i64::MAX)), (2, 1, false), "{told:?}");
}

#[tokio::test]
async fn a_clock_that_is_set_back_changes_no_order() {
    let mut world = world();
    world.clock.advance(Duration::from_secs(3600));
    world.note("a", Some(2)).await;
    let (clock, hand) = Clock::movable();
    (world.settings.clock, world.clock) = (clock, hand);
    world.start_again(Some(2)).await;
    world.note("b", Some(3)).await;
    assert_eq!(world.names(), ["a", "b"]);
    let files = list(&*world.settings.disk, &world.settings.data_dir.join(FOLDER)).unwrap();
    assert!(files.len() == 2 && files[0].begun_us < files[1].begun_us);
}
