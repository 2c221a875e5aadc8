//! Codecs: exact bytes, round trips, and input that is anything.

#[path = "properties/generate.rs"]
#[allow(dead_code)]
mod generate;

use bytes::Bytes;
use cfgstore_store::codec::*;
use cfgstore_store::*;
use proptest::prelude::*;

fn encoded(caller: &Caller, command: &Command) -> Bytes {
    let mut bytes = Vec::new();
    encode_command(caller, command, &mut bytes);
    bytes.into()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A command with one of everything.
fn rich_txn() -> Txn {
    Txn {
        compare: vec![
            Compare {
                key: "k".into(),
                range_end: "l".into(),
                result: CompareResult::NotEqual,
                target: CompareTarget::Value("v".into()),
            },
            Compare {
                key: "k".into(),
                range_end: Bytes::new(),
                result: CompareResult::Greater,
                target: CompareTarget::Lease(-2),
            },
        ],
        success: vec![
            TxnOp::Put(Put {
                key: "p".into(),
                value: "v".into(),
                lease: 3,
                ..Put::default()
            }),
            TxnOp::Txn(Txn::default()),
        ],
        failure: vec![
            TxnOp::Range(Range {
                key: "r".into(),
                limit: 1,
                revision: 2,
                sort_order: SortOrder::Descend,
                sort_target: SortTarget::Value,
                keys_only: true,
                min_mod_revision: 3,
                max_mod_revision: 4,
                min_create_revision: 5,
                max_create_revision: 6,
                ..Range::default()
            }),
            TxnOp::DeleteRange(DeleteRange {
                key: "d".into(),
                range_end: "e".into(),
                prev_kv: true,
            }),
        ],
    }
}

/// These bytes are on disks: they change only together with the version byte.
#[test]
fn the_bytes_are_these() {
    let named = Caller {
        user: Some("u".into()),
        client: Some("é".into()),
        ..Caller::default()
    };
    let put = Command::Put(Put {
        key: "key".into(),
        value: "v".into(),
        lease: 0x0102,
        prev_kv: true,
        ignore_value: false,
        ignore_lease: true,
    });
    assert_eq!(
        hex(&encoded(&named, &put)),
        "01 03 01 00 00 00 75 02 00 00 00 c3 a9 01 05 02 01 00 00 00 00 00 00 03 00 00 00 6b 65 79 01 00 00 00 76"
    );
    let anonymous = Caller::default();
    let delete = Command::DeleteRange(DeleteRange {
        key: "a".into(),
        range_end: "b".into(),
        prev_kv: true,
    });
    assert_eq!(
        hex(&encoded(&anonymous, &delete)),
        "01 00 02 01 01 00 00 00 61 01 00 00 00 62"
    );
    let compact = Command::Compact(Compact { revision: 7 });
    assert_eq!(
        hex(&encoded(&anonymous, &compact)),
        "01 00 04 07 00 00 00 00 00 00 00"
    );
    let grant = Command::LeaseGrant(LeaseGrant { id: -1, ttl_secs: 60 });
    assert_eq!(
        hex(&encoded(&anonymous, &grant)),
        "01 00 05 ff ff ff ff ff ff ff ff 3c 00 00 00 00 00 00 00"
    );
    let revoke = Command::LeaseRevoke(LeaseRevoke { id: 9 });
    assert_eq!(
        hex(&encoded(&anonymous, &revoke)),
        "01 00 06 09 00 00 00 00 00 00 00"
    );
    let alarm = Command::Alarm(AlarmChange {
        alarm: Alarm {
            kind: AlarmKind::Corrupt,
            member_id: 0x0a0b,
        },
        raised: true,
    });
    assert_eq!(
        hex(&encoded(&anonymous, &alarm)),
        "01 00 08 01 02 0b 0a 00 00 00 00 00 00"
    );
    let txn = concat!(
        "01 00 03 ",
        "02 00 00 00 ",
        "03 03 01 00 00 00 76 01 00 00 00 6b 01 00 00 00 6c ",
        "01 04 fe ff ff ff ff ff ff ff 01 00 00 00 6b 00 00 00 00 ",
        "02 00 00 00 ",
        "01 00 03 00 00 00 00 00 00 00 01 00 00 00 70 01 00 00 00 76 ",
        "03 00 00 00 00 00 00 00 00 00 00 00 00 ",
        "02 00 00 00 ",
        "07 01 02 04 01 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00 03 00 00 00 00 00 00 00 ",
        "04 00 00 00 00 00 00 00 05 00 00 00 00 00 00 00 06 00 00 00 00 00 00 00 01 00 00 00 72 00 00 00 00 ",
        "02 01 01 00 00 00 64 01 00 00 00 65",
    );
    assert_eq!(hex(&encoded(&anonymous, &Command::Txn(rich_txn()))), txn);
}

#[test]
fn the_bytes_of_records_and_leases_are_these() {
    let mut store = Store::new();
    let apply = |store: &mut Store, command| store.apply(0, &Caller::default(), &command).unwrap();
    apply(
        &mut store,
        Command::LeaseGrant(LeaseGrant { id: 5, ttl_secs: 60 }),
    );
    let put = |lease| {
        Command::Put(Put {
            key: "k".into(),
            value: "val".into(),
            lease,
            ..Put::default()
        })
    };
    apply(&mut store, put(0));
    apply(&mut store, put(5));
    apply(
        &mut store,
        Command::DeleteRange(DeleteRange {
            key: "k".into(),
            ..DeleteRange::default()
        }),
    );
    let state = store.state();
    let records: Vec<String> = state
        .records_in_seq_order()
        .map(|record| {
            let mut bytes = Vec::new();
            encode_record(&record, &mut bytes);
            assert_eq!(bytes.len(), 62 + record.key().len() + record.value().len());
            hex(&bytes)
        })
        .collect();
    let word = |low: u8| format!("{low:02x} 00 00 00 00 00 00 00");
    let expected = |flags: u8, words: [u8; 6], rest: &str| {
        format!("01 {flags:02x} 00 00 00 00 {} {rest}", words.map(word).join(" "))
    };
    assert_eq!(
        records[1],
        expected(0, [2, 3, 2, 5, 2, 1], "01 00 00 00 6b 03 00 00 00 76 61 6c")
    );
    assert_eq!(
        records[2],
        expected(1, [0, 4, 0, 0, 3, 2], "01 00 00 00 6b 00 00 00 00")
    );
    let mut bytes = Vec::new();
    encode_lease(state.lease(5).unwrap(), &mut bytes);
    assert_eq!(hex(&bytes), format!("01 {} {}", word(5), word(60)));
}

#[test]
fn errors_say_what_and_where() {
    let whole = encoded(&Caller::default(), &Command::Txn(rich_txn()));
    for end in 0..whole.len() {
        let error = decode_command(&whole.slice(..end)).unwrap_err();
        assert_eq!(error.reason, DecodeReason::Truncated, "cut at {end}");
        assert!(error.offset <= end);
    }
    let fails = |bytes: &[u8]| decode_command(&Bytes::copy_from_slice(bytes)).unwrap_err();
    let error = |offset, reason| DecodeError { offset, reason };
    let trailing = [&whole, b"x".as_slice()].concat();
    assert_eq!(fails(&trailing), error(whole.len(), DecodeReason::TrailingBytes));
    assert_eq!(
        fails(&[2, 0]),
        error(0, DecodeReason::UnknownVersion { found: 2 })
    );
    assert_eq!(
        fails(&[1, 16]),
        error(1, DecodeReason::UnknownFlags { found: 16 })
    );
    assert_eq!(
        fails(&[1, 0, 7]),
        error(
            2,
            DecodeReason::UnknownNumber {
                of: "command",
                found: 7
            }
        )
    );
    assert_eq!(fails(&[1, 1, 1, 0, 0, 0, 0xff]), error(6, DecodeReason::NotUtf8));
    assert_eq!(
        fails(&[1, 0, 2, 2]),
        error(3, DecodeReason::UnknownFlags { found: 2 })
    );
    assert_eq!(
        fails(&[1, 0, 3, 1, 0, 0, 0, 9]),
        error(
            7,
            DecodeReason::UnknownNumber {
                of: "compare result",
                found: 9
            }
        )
    );
    // A length or count far beyond the input.
    assert_eq!(
        fails(&[1, 0, 2, 0, 255, 255, 255, 255, 1]),
        error(8, DecodeReason::Truncated)
    );
    assert_eq!(
        fails(&[1, 0, 3, 255, 255, 255, 255]),
        error(7, DecodeReason::Truncated)
    );
    assert_eq!(
        fails(&[2, 0]).to_string(),
        "at byte 0: format version 2 is not known; only 1 is"
    );

    let record = [&[1, 0, 0, 0, 0, 0x80][..], &[0; 56]].concat();
    assert_eq!(
        decode_record(&record).unwrap_err(),
        error(2, DecodeReason::SubTooLarge)
    );
}

#[test]
fn nesting_is_bounded_in_every_place() {
    let nested = |depth: usize| {
        (1..depth).fold(Txn::default(), |inner, _| Txn {
            success: vec![TxnOp::Txn(inner)],
            ..Txn::default()
        })
    };
    let deepest = Command::Txn(nested(MAX_TXN_DEPTH));
    let bytes = encoded(&Caller::default(), &deepest);
    assert_eq!(decode_command(&bytes).unwrap().1, deepest);
    assert!(Store::new().apply(0, &Caller::default(), &deepest).is_ok());

    let too_deep = Command::Txn(nested(MAX_TXN_DEPTH + 1));
    let bytes = encoded(&Caller::default(), &too_deep);
    assert_eq!(
        decode_command(&bytes).unwrap_err().reason,
        DecodeReason::TxnTooDeep
    );
    let refused = Err(CommandError::TxnTooDeep { limit: MAX_TXN_DEPTH });
    assert_eq!(Store::new().apply(0, &Caller::default(), &too_deep), refused);
    assert_eq!(
        check(&too_deep, &CheckLimits::default()).map(|()| Outcome::Compact),
        refused
    );
}

#[test]
fn a_decoded_command_shares_its_input() {
    let put = Command::Put(Put {
        key: "k".into(),
        value: vec![7; 100_000].into(),
        ..Put::default()
    });
    let bytes = encoded(&Caller::default(), &put);
    let Command::Put(decoded) = decode_command(&bytes).unwrap().1 else {
        panic!("not a put")
    };
    assert!(bytes.as_ptr_range().contains(&decoded.value.as_ptr()));
}

fn caller() -> impl Strategy<Value = Caller> {
    let name = || proptest::option::of(".{0,8}");
    (name(), name(), name(), name()).prop_map(|(user, client, address, comment)| Caller {
        user,
        client,
        address,
        comment,
    })
}

/// The commands that are no etcd requests.
fn rule_command() -> impl Strategy<Value = Command> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..9).prop_map(Bytes::from);
    let option = || proptest::option::of(bytes());
    let judged = (
        any::<i64>(),
        proptest::collection::vec((any::<u32>(), bytes()), 0..3),
        generate::command(),
    );
    let letter = (any::<u64>(), any::<i64>(), any::<i64>(), any::<i64>(), ".{0,5}");
    let letter = letter.prop_map(
        |(id, from_revision, to_revision, time_unix_ms, reason)| DeadLetter {
            id,
            from_revision,
            to_revision,
            reason,
            time_unix_ms,
        },
    );
    let letters = proptest::collection::vec(letter, 0..3);
    prop_oneof![
        judged.prop_map(|(schema_revision, violations, command)| {
            let violation = |(put, report)| PutViolation { put, report };
            Command::Judged(Judged {
                schema_revision,
                violations: violations.into_iter().map(violation).collect(),
                command: Box::new(command),
            })
        }),
        (bytes(), option(), any::<bool>(), any::<i64>()).prop_map(
            |(pattern, schema, sealed, checked_revision)| {
                let schema = schema.map(|schema| SchemaRule { schema, sealed });
                Command::SetSchema(SetSchema {
                    pattern,
                    schema,
                    checked_revision,
                })
            }
        ),
        (bytes(), proptest::option::of((any::<u32>(), any::<u64>()))).prop_map(|(prefix, rule)| {
            let retention = rule.map(|(count, max_age_secs)| Retention {
                count,
                max_age_secs,
                floor_revision: 0,
            });
            Command::SetRetention(SetRetention { prefix, retention })
        }),
        (".{0,5}", option())
            .prop_map(|(name, rule)| Command::SetNotification(SetNotification { name, rule })),
        (
            ".{0,5}",
            any::<i64>(),
            letters,
            proptest::collection::vec(any::<u64>(), 0..3)
        )
            .prop_map(|(name, done_through_revision, dead_letters, forget)| {
                Command::NotificationProgress(NotificationProgress {
                    name,
                    done_through_revision,
                    dead_letters,
                    forget,
                })
            }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn commands_survive_a_round_trip(
        caller in caller(),
        command in prop_oneof![2 => generate::command(), 1 => rule_command()],
    ) {
        let bytes = encoded(&caller, &command);
        prop_assert_eq!(decode_command(&bytes), Ok((caller, command)));
    }

    /// Whatever decodes is what its own encoding says: there is no second encoding of anything.
    #[test]
    fn arbitrary_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        decode_any(&bytes);
    }

    #[test]
    fn damaged_bytes_decode_or_fail(
        command in prop_oneof![generate::command(), rule_command()],
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = encoded(&Caller::default(), &command).to_vec();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        decode_any(&bytes);
    }

    #[test]
    fn damaged_records_decode_or_fail(
        key in proptest::collection::vec(any::<u8>(), 0..20),
        value in proptest::collection::vec(any::<u8>(), 0..20),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let length = |bytes: &[u8]| (bytes.len() as u32).to_le_bytes();
        let mut bytes = [&[1u8, 1, 3, 0, 0, 0][..], &[9; 48], &length(&key), &key, &length(&value), &value].concat();
        let view = decode_record(&bytes).unwrap();
        prop_assert_eq!((view.key, view.value), (key.as_slice(), value.as_slice()));
        let place = place.index(bytes.len());
        bytes[place] = byte;
        decode_any(&bytes);
    }
}

fn encoded_alarm(alarm: &Alarm) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_alarm(alarm, &mut bytes);
    bytes
}

#[test]
fn the_bytes_of_alarms_are_these() {
    let alarm = Alarm {
        kind: AlarmKind::NoSpace,
        member_id: 0x0102,
    };
    let bytes = encoded_alarm(&alarm);
    assert_eq!(hex(&bytes), "01 01 02 01 00 00 00 00 00 00");
    assert_eq!(decode_alarm(&bytes), Ok(alarm));
    for len in 0..bytes.len() {
        decode_alarm(&bytes[..len]).unwrap_err();
    }
    decode_alarm(&[1, 3, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap_err();
}

fn decode_any(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    match decode_command(&bytes) {
        Ok((caller, command)) => assert_eq!(encoded(&caller, &command), bytes),
        Err(error) => assert!(error.offset <= bytes.len()),
    }
    if let Err(error) = decode_record(&bytes) {
        assert!(error.offset <= bytes.len());
    }
    if let Err(error) = decode_lease(&bytes) {
        assert!(error.offset <= bytes.len());
    }
    if let Err(error) = decode_change(&bytes) {
        assert!(error.offset <= bytes.len());
    }
    if let Err(error) = decode_rule(&bytes) {
        assert!(error.offset <= bytes.len());
    }
    match decode_alarm(&bytes) {
        Ok(alarm) => assert_eq!(encoded_alarm(&alarm), bytes),
        Err(error) => assert!(error.offset <= bytes.len()),
    }
}
