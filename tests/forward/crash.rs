//! After a kill its neighbours are delivered, and only what kills becomes a letter.

use std::time::Duration;

use sentinel_forwarder::delivery::{Key, Stage};
use sentinel_forwarder::trigger::Item;

use crate::world::{KEY, World, object, object_item, reason, records};

/// One invocation with the messages that are not done yet, killed where the killer is read.
fn invoke(world: &World, killed: &tokio::sync::Notify, items: &[Item], receives: u32) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let forwarder = world.forwarder();
    let attempt = world.attempt(receives);
    runtime.block_on(async {
        let forwarding = forwarder.forward_all(items.iter().map(|item| (item, attempt)));
        tokio::select! {
            () = killed.notified() => {
                // What the others had under way lands, or does not, without being told of.
                tokio::time::sleep(Duration::from_millis(20)).await;
                false
            }
            outcomes = forwarding => outcomes.iter().all(|(_, outcome)| outcome.is_ok()),
        }
    })
}

#[test]
fn of_ten_messages_with_one_that_kills_nine_are_delivered_and_one_is_a_letter() {
    let world = World::ledgered(Vec::new());
    let keys: Vec<_> = (0..10).map(|number| format!("{KEY}-{number}")).collect();
    for key in &keys {
        world.put(key, Ok(records(3)));
    }
    let killed = world.put_killer(&keys[4]);
    let items: Vec<_> = keys.iter().map(|key| object_item(key)).collect();
    let mut receives = 0;
    loop {
        receives += 1;
        assert!(receives < 20, "it never ends");
        if invoke(&world, &killed, &items, receives) {
            break;
        }
        world.let_leases_run_out();
        if receives == 4 {
            let done = keys.iter().filter(|key| {
                matches!(world.entry(&Key::object(&object(key))).stage, Stage::Delivered { .. })
            });
            assert_eq!(done.count(), 9, "the others wait for nobody");
        }
    }
    let letters = world.letters();
    assert_eq!(letters.iter().map(reason).collect::<Vec<_>>(), [("Crashed", (0, None))]);
    assert_eq!(letters[0]["task"]["object"]["key"], keys[4]);
}
