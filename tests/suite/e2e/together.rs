//! Two rvmb at once on one cache.

use std::path::Path;

use crate::common::machine::{Bench, names};
use crate::common::process::{program, run};
use crate::common::{anybody, begin};

/// On an empty cache both fetch the same indices; both must end well, with one state of the archive,
/// which a later update leaves as it is.
#[test]
fn two_plans_at_once_share_one_state_of_the_archive() {
    let Some((_turn, account)) = begin("two plans at once", anybody) else { return };
    let bench = Bench::with_own_cache(&account);
    let words = ["plan", "kvm", "debian", "--suite", "bookworm", "--json"];
    let plan = || run(&mut bench.command(&words)).well().stdout;
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(plan);
        (plan(), other.join().expect("the other plan"))
    });
    assert_eq!(one, other);
    let state = state_of(&one);
    assert_eq!(state_of(&plan()), state);
    // The lock, what fetches, and the state: nothing half made is left.
    let place = Path::new(&state).parent().expect("the states of one set of sources");
    assert_eq!(names(place).len(), 3, "{:?}", names(place));

    // The kept state must serve without the place that updates go to.
    run(program("rm").arg("-r").arg(place.join("refresh"))).well();
    let lists = names(&Path::new(&state).join("lists"));
    assert!(lists.iter().any(|name| name.ends_with("_InRelease")), "{lists:?}");
    assert_eq!(state_of(&plan()), state);
}

fn state_of(plan: &str) -> String {
    let plan: serde_json::Value = serde_json::from_str(plan).expect("a plan as JSON");
    plan["archive"]["index"].as_str().expect("the directory of the indices").to_owned()
}
