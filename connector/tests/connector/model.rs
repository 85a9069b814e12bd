//! Whatever happens to the tenants, and however it comes to be known, the store ends as CloudStack is.

use std::collections::BTreeMap;

use cloudstack_stand_in::{Cloud, State};
use proptest::{
    prelude::*,
    test_runner::{Config as Cases, TestRunner},
};

use crate::world::World;

/// Something that happens. Numbers choose among what is there at that time.
#[derive(Debug, Clone)]
enum Step {
    CreateDomain(usize),
    CreateAccount(usize),
    RenameDomain(usize),
    MoveDomain(usize, usize),
    DeleteDomain(usize),
    RenameAccount(usize),
    Disable(usize),
    Lock(usize),
    Enable(usize),
    DeleteAccount(usize),
    RenamePerson(usize),
    DeleteFirstUser(usize),
    /// The next changes tell of themselves, or not.
    Quiet(bool),
    Poll,
    Sync,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let n = 0..1000_usize;
    let step = prop_oneof![
        2 => n.clone().prop_map(Step::CreateDomain),
        4 => n.clone().prop_map(Step::CreateAccount),
        1 => n.clone().prop_map(Step::RenameDomain),
        1 => (n.clone(), n.clone()).prop_map(|(a, b)| Step::MoveDomain(a, b)),
        1 => n.clone().prop_map(Step::DeleteDomain),
        2 => n.clone().prop_map(Step::RenameAccount),
        2 => n.clone().prop_map(Step::Disable),
        1 => n.clone().prop_map(Step::Lock),
        3 => n.clone().prop_map(Step::Enable),
        2 => n.clone().prop_map(Step::DeleteAccount),
        2 => n.clone().prop_map(Step::RenamePerson),
        1 => n.prop_map(Step::DeleteFirstUser),
        1 => any::<bool>().prop_map(Step::Quiet),
        4 => Just(Step::Poll),
        2 => Just(Step::Sync),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 10..40)
}

/// One of them, never the first: ROOT and the root admin stay.
fn pick(all: &[String], number: usize) -> Option<&String> {
    all.iter().skip(1).nth(number % all.len().saturating_sub(1).max(1))
}

async fn take(world: &mut World, step: &Step, at: usize) {
    let control = world.control.clone();
    let (domains, accounts) = (control.domain_ids(), control.account_ids());
    let domain = |number: usize| pick(&domains, number).cloned().unwrap_or_default();
    let account = |number: usize| pick(&accounts, number).cloned().unwrap_or_default();
    // What cannot be done, such as moving a domain below itself, is not done.
    match step {
        Step::CreateDomain(n) => drop(control.create_domain(&domains[n % domains.len()], &format!("d{at}"))),
        Step::CreateAccount(n) => drop(control.create_account(&domains[n % domains.len()], &format!("a{at}"))),
        Step::RenameDomain(n) => drop(control.rename_domain(&domain(*n), &format!("r{at}"))),
        Step::MoveDomain(n, m) => drop(control.move_domain(&domain(*n), &domains[m % domains.len()])),
        Step::DeleteDomain(n) => drop(control.delete_domain(&domain(*n), n % 2 == 0)),
        Step::RenameAccount(n) => drop(control.rename_account(&account(*n), &format!("n{at}"))),
        Step::Disable(n) => drop(control.disable_account(&account(*n))),
        Step::Lock(n) => drop(control.lock_account(&account(*n))),
        Step::Enable(n) => drop(control.enable_account(&account(*n))),
        Step::DeleteAccount(n) => drop(control.delete_account(&account(*n))),
        Step::RenamePerson(n) => drop(control.update_first_user(&account(*n), "New", &format!("Name{at}"), "n@x.org")),
        Step::DeleteFirstUser(n) => drop(control.delete_first_user(&account(*n))),
        Step::Quiet(quiet) => control.suppress_events(*quiet),
        Step::Poll => drop(world.connector.poll().await.unwrap()),
        Step::Sync => drop(world.sync().await),
        Step::Restart => world.restart().await,
    }
}

async fn ends_as_cloudstack_is(steps: Vec<Step>) {
    let mut world = World::with(Cloud::grown(6, 15), |config| config.cloudstack.max_removals = 100_000).await;
    for (at, step) in steps.iter().enumerate() {
        take(&mut world, step, at).await;
    }
    world.sync().await;
    let expected: BTreeMap<String, bool> = world
        .control
        .account_ids()
        .into_iter()
        .skip(1)
        .map(|account| {
            let enabled = world.control.account_state(&account) == Some(State::Enabled);
            (account, enabled)
        })
        .collect();
    let actual = world.actual().await;
    let found: BTreeMap<String, bool> =
        actual.users.iter().map(|((_, user), person)| (user.clone(), person.active)).collect();
    assert_eq!(found, expected);
    let domains: Vec<String> = world.control.domain_ids().into_iter().skip(1).collect();
    assert!(domains.iter().all(|domain| actual.groups.contains_key(domain)), "{domains:?} {actual:?}");
    assert!(actual.groups.keys().all(|group| domains.contains(group) || *group == world.control.root_id()));
    // What is remembered is what is there, names and all.
    let remembered = world.plan().await;
    assert!(remembered.is_empty(), "{remembered}");
    world.connector.verify(&|_| ()).await.unwrap();
    assert_eq!(world.actual().await, actual);
}

#[test]
fn whatever_happens_the_store_ends_as_cloudstack_is() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(16);
    let mut runner = TestRunner::new(Cases { cases, failure_persistence: None, ..Cases::default() });
    runner
        .run(&steps(), |steps| {
            runtime.block_on(ends_as_cloudstack_is(steps));
            Ok(())
        })
        .unwrap();
}
