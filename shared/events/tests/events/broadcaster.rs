//! Queues, attempts and filters. Time stands still but where everybody waits for it.

use std::time::Duration;

use roadstead_events::{Action, Delivery, Filter};
use tokio::time::Instant;

use crate::kit::{RETRY, Receiver, broadcaster, event, push};

/// Longer than any test takes, as only waiting passes time.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test(start_paused = true)]
async fn what_is_queued_comes_in_order_when_the_receiver_is_up_again() {
    let receiver = Receiver::new(1, 12);
    let events = broadcaster(&receiver, Filter::default(), Delivery::Queued);
    let begun = Instant::now();
    let mut ids = Vec::new();
    for _ in 0..20 {
        let event = push();
        ids.push(vec![event.id]);
        events.publish(vec![event]).await;
    }
    assert_eq!(begun.elapsed(), Duration::ZERO, "a request waits");
    events.drain(LONG).await;
    assert_eq!(receiver.received(), ids);
    // 9 failures at once; from the 10th on a pause after each.
    assert_eq!(begun.elapsed(), RETRY.backoff * 3);
    assert_eq!(receiver.attempts(), 12 + 20);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_room_is_lost_and_the_rest_is_not() {
    let receiver = Receiver::new(1, 1000);
    let events = broadcaster(&receiver, Filter::default(), Delivery::Queued);
    let mut ids = Vec::new();
    // One MiB each, of which 16 have room, one of them perhaps not: it is more than the text.
    for _ in 0..20 {
        let mut event = push();
        event.target.repository = "x".repeat(1024 * 1024);
        ids.push(vec![event.id]);
        events.publish(vec![event]).await;
    }
    events.drain(LONG).await;
    assert_eq!(receiver.received(), ids[..15]);
    let event = push();
    let last = vec![event.id];
    events.publish(vec![event]).await;
    events.drain(LONG).await;
    assert_eq!(receiver.received().last(), Some(&last));
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_the_receiver_but_not_for_ever() {
    let receiver = Receiver::new(1, u64::MAX);
    let events = broadcaster(&receiver, Filter::default(), Delivery::Queued);
    events.publish(vec![push()]).await;
    let begun = Instant::now();
    let patience = RETRY.backoff * 3;
    events.drain(patience).await;
    assert_eq!(begun.elapsed(), patience);
    events.drain(Duration::ZERO).await;
    assert!(receiver.received().is_empty());
}

#[tokio::test(start_paused = true)]
async fn before_the_answer_a_few_attempts_are_all() {
    for (failures, attempts, is_delivered) in [(0, 1, true), (2, 3, true), (3, 3, false)] {
        let receiver = Receiver::new(1, failures);
        let events = broadcaster(&receiver, Filter::default(), Delivery::BeforeAnswer);
        events.publish(vec![push()]).await;
        assert_eq!(receiver.attempts(), attempts);
        assert_eq!(receiver.received().len() == 1, is_delivered, "{failures}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_envelope_has_as_many_events_as_the_sink_takes() {
    for delivery in [Delivery::Queued, Delivery::BeforeAnswer] {
        let receiver = Receiver::new(10, 0);
        let events = broadcaster(&receiver, Filter::default(), delivery);
        let all: Vec<_> = (0..21).map(|_| push()).collect();
        let ids: Vec<_> = all.iter().map(|event| event.id).collect();
        events.publish(all).await;
        events.drain(LONG).await;
        let received = receiver.received();
        let lengths: Vec<_> = received.iter().map(Vec::len).collect();
        assert_eq!(lengths, [10, 10, 1], "{delivery:?}");
        assert_eq!(received.concat(), ids, "{delivery:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_ignored_is_not_sent() {
    let text = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    for (media_types, actions, expected) in [
        (
            &[][..],
            &[][..],
            &["pull m", "push m", "push n", "delete "][..],
        ),
        (&["m"], &[], &["push n", "delete "]),
        (&[], &["push"], &["pull m", "delete "]),
        (&["n", ""], &["pull"], &["push m"]),
        (
            &["M", "m/x"],
            &["Pull", "pul"],
            &["pull m", "push m", "push n", "delete "],
        ),
    ] {
        let filter = Filter {
            media_types: text(media_types),
            actions: text(actions),
        };
        let receiver = Receiver::new(1, 0);
        let events = broadcaster(&receiver, filter, Delivery::BeforeAnswer);
        let mut ids = Vec::new();
        for (action, media_type) in [
            (Action::Pull, "m"),
            (Action::Push, "m"),
            (Action::Push, "n"),
            (Action::Delete, ""),
        ] {
            let mut target = push().target;
            target.media_type = media_type.to_owned();
            let event = event(action, target);
            let is_wanted = expected.contains(&format!("{action} {media_type}").as_str());
            assert_eq!(events.is_wanted(action, media_type), is_wanted);
            if is_wanted {
                ids.push(vec![event.id]);
            }
            events.publish(vec![event]).await;
        }
        assert_eq!(receiver.received(), ids, "{media_types:?} {actions:?}");
    }
}
