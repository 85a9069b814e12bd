//! Clients of the export may do what they like in it: nothing outside it is read, written or removed.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nfs_staging::{Error, EvictOutcome, FileState, PullOutcome, PullRequest};

use crate::support::{MIB, TEMPLATE, TEMPLATE_PATH, VOLUME, World, image, noise, operator, pull_request, silent};

/// Replaces what is there by a link to `target`.
fn plant(link: &Path, target: &Path) {
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    if link.is_dir() && !link.is_symlink() {
        std::fs::remove_dir_all(link).unwrap();
    } else {
        let _ = std::fs::remove_file(link);
    }
    symlink(target, link).unwrap();
}

/// What a client does to the file that is written aside.
type Change<'a> = &'a dyn Fn(&World, &Path);

/// A directory outside the export that has the rest of the path, with a secret where the file would be.
fn outside(world: &World, rest: &Path) -> PathBuf {
    let dir = world.temp.path().join("outside");
    let file = dir.join(rest);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, b"secret").unwrap();
    dir
}

#[tokio::test(flavor = "multi_thread")]
async fn links_at_any_component_of_the_path_are_refused() {
    let components: Vec<&str> = TEMPLATE_PATH.split('/').collect();
    for depth in 1..components.len() {
        let world = World::new().await;
        world.put(TEMPLATE, &image(MIB, 1)).await;
        let rest: PathBuf = components[depth..].iter().collect();
        let dir = outside(&world, &rest);
        plant(&world.at(&components[..depth].join("/")), &dir);
        let overwrite = PullRequest { overwrite: true, ..pull_request(TEMPLATE) };
        for request in [pull_request(TEMPLATE), overwrite] {
            let refused = world.staging.pull(&operator(), &request, &silent()).await;
            assert!(matches!(refused, Err(Error::NotBeneath { .. })), "depth {depth}: {refused:?}");
        }
        assert!(matches!(world.push(TEMPLATE_PATH).await, Err(Error::NotBeneath { .. })), "depth {depth}");
        assert!(matches!(world.evict(TEMPLATE_PATH).await.unwrap().outcome, EvictOutcome::Kept(_)), "depth {depth}");
        assert_eq!(world.staging.list().await.unwrap(), vec![]);
        assert_eq!(std::fs::read(dir.join(&rest)).unwrap(), b"secret");
        assert_eq!(std::fs::read_dir(dir.join(&rest).parent().unwrap()).unwrap().count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_keeps_neither_the_store_from_starting_nor_others_from_work() {
    let mut world = World::new().await;
    for key in [VOLUME, TEMPLATE] {
        world.put(key, &image(MIB, 1)).await;
        world.pull(key).await.unwrap();
    }
    let state = world.engine.settings().data_dir.join("staging-state");
    let named = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(VOLUME));
    std::fs::write(state.join(format!("{named}.json")), b"{\"format\": 1, \"pa").unwrap();
    std::fs::write(state.join("stray.json"), b"").unwrap();
    world.reopen().await;
    let state_of = async |path| world.listed(path).await.map(|file| file.state);
    assert_eq!(state_of(VOLUME).await, Some(FileState::Unproven));
    assert!(matches!(state_of(TEMPLATE_PATH).await, Some(FileState::Proven { .. })));
    assert!(matches!(world.evict(VOLUME).await.unwrap().outcome, EvictOutcome::Kept(_)));
    assert_eq!(world.evict(TEMPLATE_PATH).await.unwrap().outcome, EvictOutcome::Evicted);
    assert!(world.at(VOLUME).exists() && !world.at(TEMPLATE_PATH).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_the_place_of_the_file_is_refused() {
    let world = World::new().await;
    world.put(VOLUME, b"secret").await;
    let secret = outside(&world, Path::new("secret")).join("secret");
    plant(&world.at(VOLUME), &secret);
    let overwrite = PullRequest { overwrite: true, ..pull_request(VOLUME) };
    assert!(matches!(world.staging.pull(&operator(), &overwrite, &silent()).await, Err(Error::NotAFile { .. })));
    assert!(matches!(world.push(VOLUME).await, Err(Error::NotAFile { .. })));
    assert!(matches!(world.evict(VOLUME).await.unwrap().outcome, EvictOutcome::Kept(_)));
    assert_eq!(std::fs::read(secret).unwrap(), b"secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_planted_after_the_pull_keeps_the_file() {
    let world = World::new().await;
    world.put(VOLUME, b"secret").await;
    world.pull(VOLUME).await.unwrap();
    let dir = outside(&world, Path::new("14").join(Path::new(VOLUME).file_name().unwrap()).as_path());
    plant(&world.at("volumes/2"), &dir);
    let outcome = world.evict(VOLUME).await.unwrap().outcome;
    assert!(matches!(outcome, EvictOutcome::Kept(_)), "{outcome:?}");
    assert!(dir.join("14").read_dir().unwrap().next().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tampered_part_is_not_gone_on_with() {
    let content = noise(20 * MIB, 2);
    let changes: [(&str, Change); 5] = [
        ("changed", &|_, part| {
            let mut bytes = std::fs::read(part).unwrap();
            bytes[MIB] ^= 1;
            std::fs::write(part, bytes).unwrap();
        }),
        ("shortened", &|_, part| std::fs::File::options().write(true).open(part).unwrap().set_len(1000).unwrap()),
        ("linked", &|world, part| plant(part, &outside(world, Path::new("secret")).join("secret"))),
        ("hard-linked", &|world, part| std::fs::hard_link(part, world.temp.path().join("export/elsewhere")).unwrap()),
        ("replaced", &|_, part| {
            std::fs::copy(part, part.with_extension("copy")).unwrap();
            std::fs::rename(part.with_extension("copy"), part).unwrap();
        }),
    ];
    for (name, change) in changes {
        let world = World::new().await;
        world.put(VOLUME, &content).await;
        world.pull_until(VOLUME, 8 << 20).await;
        let part = world.at(VOLUME).with_file_name(&world.leftovers(VOLUME)[0]);
        change(&world, &part);
        let pulled = world.pull(VOLUME).await.unwrap();
        assert_eq!(pulled.outcome, PullOutcome::Written { resumed_bytes: 0 }, "{name}");
        assert!(world.read(VOLUME) == content, "{name}");
        if name == "linked" {
            assert_eq!(std::fs::read(world.temp.path().join("outside/secret")).unwrap(), b"secret");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_grew_is_cut_back() {
    let world = World::new().await;
    let content = noise(20 * MIB, 3);
    world.put(VOLUME, &content).await;
    world.pull_until(VOLUME, 8 << 20).await;
    let part = world.at(VOLUME).with_file_name(&world.leftovers(VOLUME)[0]);
    let mut bytes = std::fs::read(&part).unwrap();
    bytes.resize(25 * MIB, 7);
    std::fs::write(&part, bytes).unwrap();
    assert!(
        matches!(world.pull(VOLUME).await.unwrap().outcome, PullOutcome::Written { resumed_bytes } if resumed_bytes > 0)
    );
    assert!(world.read(VOLUME) == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_things_in_the_export_are_passed_over() {
    let world = World::new().await;
    world.put(VOLUME, b"content").await;
    world.pull(VOLUME).await.unwrap();
    for path in [
        "lost",
        "volumes/lost",
        "volumes/x/1/f",
        "volumes/1/x/f",
        "volumes/2/14/.nfs0001",
        "systemvm/1",
        "volumes/2/14/deep/f",
    ] {
        world.write(path, b"odd");
    }
    plant(&world.at("volumes/3"), world.temp.path());
    plant(&world.at("volumes/2/14/link"), Path::new("/etc/passwd"));
    let listed = world.staging.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].path, VOLUME);
    assert!(matches!(listed[0].state, FileState::Proven { .. }));
}
