use super::super::ring::Message;
use super::*;

fn channel(records: u32, payload_max: u32) -> (tempfile::TempDir, Channel) {
    let dir = tempfile::tempdir().unwrap();
    let channel = Channel::create(&dir.path().join("channel"), records, payload_max).unwrap();
    (dir, channel)
}

fn all(receiver: &mut Receiver) -> Vec<Vec<u8>> {
    let mut got = Vec::new();
    loop {
        let each = |message: Message<'_>| {
            let mut bytes = vec![0; message.len()];
            message.copy_to(&mut bytes);
            got.push(bytes);
        };
        if receiver.poll(256, each).unwrap() == 0 {
            return got;
        }
    }
}

#[test]
fn a_ring_has_a_size_by_default() {
    assert_eq!(default_records(64), 4096);
    assert_eq!(default_records(1024), 512);
    assert_eq!(default_records(1 << 20), 64);
    assert_eq!(default_records(u32::MAX), 64);
}

#[test]
fn both_sides_hear_each_other() {
    let (dir, channel) = channel(4, 100);
    let other = Channel::attach(&dir.path().join("channel")).unwrap();
    let (mut ask, mut hear) = channel.ends(Side::First).unwrap();
    let (mut reply, mut listen) = other.ends(Side::Second).unwrap();
    ask.try_send(1, b"question").unwrap();
    assert!(listen.wait(Duration::ZERO));
    assert_eq!(all(&mut listen), [b"question".to_vec()]);
    reply.try_send(1, b"answer").unwrap();
    assert_eq!(all(&mut hear), [b"answer".to_vec()]);
    assert!(matches!(channel.ends(Side::First), Err(BusError::EndTaken { .. })));
}

#[test]
fn a_flood_of_data_leaves_room_for_control() {
    let (_dir, channel) = channel(32, 8);
    let (mut sender, _receiver) = channel.ends(Side::First).unwrap();
    let (_sender, mut receiver) = channel.ends(Side::Second).unwrap();
    let mut sent = 0;
    while sender.try_send(1, b"data").is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 30);
    sender.try_send_control(2, b"stop").unwrap();
    sender.try_send_control(2, b"stop").unwrap();
    assert_eq!(sender.try_send_control(2, b"stop"), Err(SendError::Full));
    assert_eq!(all(&mut receiver).len(), 32);
}

/// Two are in a ring for two.
fn sends_the_third_as_soon_as_there_is_room(mut sender: Sender, receiver: &mut Receiver) {
    let sleeper = std::thread::spawn(move || sender.send(1, b"3", Duration::from_secs(3600)));
    let mut got = Vec::new();
    while got.len() < 3 {
        got.append(&mut all(receiver));
        receiver.wait(Duration::from_millis(1));
    }
    assert_eq!(sleeper.join().unwrap(), Ok(()));
    assert_eq!(got, [b"1", b"2", b"3"]);
}

#[test]
fn a_sender_waits_for_room_until_its_deadline() {
    let (_dir, channel) = channel(2, 8);
    let (mut sender, _receiver) = channel.ends(Side::First).unwrap();
    let (_sender, mut receiver) = channel.ends(Side::Second).unwrap();
    sender.try_send(1, b"1").unwrap();
    sender.try_send(1, b"2").unwrap();
    let timeout = Duration::from_millis(20);
    assert_eq!(sender.send(1, b"3", timeout), Err(SendError::TimedOut(timeout)));
    sends_the_third_as_soon_as_there_is_room(sender, &mut receiver);
}

#[test]
fn who_waits_for_room_has_shown_what_it_staged() {
    let (_dir, channel) = channel(2, 8);
    let (mut sender, _receiver) = channel.ends(Side::First).unwrap();
    let (_sender, mut receiver) = channel.ends(Side::Second).unwrap();
    sender.stage(1, b"1").unwrap();
    sender.stage(1, b"2").unwrap();
    sends_the_third_as_soon_as_there_is_room(sender, &mut receiver);
}

#[test]
fn a_name_that_is_taken_is_not_replaced() {
    let (dir, _channel) = channel(2, 8);
    let path = dir.path().join("channel");
    assert!(Channel::create(&path, 2, 8).is_err());
    let names = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(names, 1, "what was unfinished is gone");
}

#[test]
fn too_much_for_a_slot_is_refused() {
    let (_dir, channel) = channel(2, 8);
    let (mut sender, _receiver) = channel.ends(Side::First).unwrap();
    assert_eq!(sender.try_send(1, &[0; 9]), Err(SendError::TooLarge { len: 9, max: 8 }));
}

#[test]
fn a_sealed_sender_is_told_and_what_it_was_told_is_sent_is_found() {
    let (_dir, channel) = channel(8, 8);
    let (mut sender, _receiver) = channel.ends(Side::First).unwrap();
    let (_sender, mut receiver) = channel.ends(Side::Second).unwrap();
    sender.try_send(1, b"heard").unwrap();
    receiver.seal();
    assert_eq!(sender.try_send(1, b"unheard"), Err(SendError::Fenced));
    assert_eq!(all(&mut receiver), [b"heard".to_vec()]);
}

#[test]
fn a_living_holder_is_not_replaced() {
    let (_dir, channel) = channel(8, 8);
    let (_sender, _receiver) = channel.ends(Side::First).unwrap();
    let refused = channel.take_over(Side::First).unwrap_err().to_string();
    assert!(refused.contains("is alive"), "{refused}");
}
