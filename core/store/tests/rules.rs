//! Schemas and notification rules, as far as the store knows of them.

use bytes::Bytes;
use cfgstore_store::*;

fn apply(store: &mut Store, command: Command) -> Result<Outcome, CommandError> {
    store.apply(0, &Caller::default(), &command)
}

fn put(key: &str) -> Put {
    Put {
        key: Bytes::copy_from_slice(key.as_bytes()),
        ..Put::default()
    }
}

fn bind(pattern: &str, checked_revision: i64) -> Command {
    Command::SetSchema(SetSchema {
        pattern: Bytes::copy_from_slice(pattern.as_bytes()),
        schema: Some(SchemaRule {
            schema: "{}".into(),
            sealed: false,
        }),
        checked_revision,
    })
}

fn judged(schema_revision: i64, violations: &[u32], command: Command) -> Command {
    Command::Judged(Judged {
        schema_revision,
        violations: violations
            .iter()
            .map(|put| PutViolation {
                put: *put,
                report: put.to_string().into(),
            })
            .collect(),
        command: Box::new(command),
    })
}

#[test]
fn puts_must_be_judged_by_the_schemas_that_are_bound() {
    let mut store = Store::new();
    apply(&mut store, Command::Put(put("a"))).unwrap();
    apply(&mut store, bind("a*", 2)).unwrap();
    let changed = |schema_revision| Err(CommandError::SchemasChanged { schema_revision });
    assert_eq!(
        apply(&mut store, Command::Put(put("z"))),
        changed(1),
        "not judged at all"
    );
    assert!(apply(&mut store, judged(1, &[], Command::Put(put("a")))).is_ok());
    assert_eq!(store.state().schema_revision(), 1);
    apply(&mut store, bind("b", 3)).unwrap();
    assert_eq!(
        apply(&mut store, judged(1, &[], Command::Put(put("a")))),
        changed(2)
    );
    // What puts nothing needs no judgement.
    let delete = DeleteRange {
        key: "a".into(),
        ..DeleteRange::default()
    };
    assert!(apply(&mut store, Command::DeleteRange(delete)).is_ok());
    assert_eq!(
        apply(&mut store, judged(2, &[0], Command::Put(put("a")))),
        Err(CommandError::SchemaViolation { report: "0".into() })
    );
    assert_eq!(
        store.state().revision(),
        4,
        "nothing that was refused has changed anything"
    );
    let nothing = judged(2, &[], Command::Compact(Compact { revision: 2 }));
    assert_eq!(apply(&mut store, nothing), Err(CommandError::NotJudgeable));
}

#[test]
fn only_puts_that_run_are_refused() {
    let mut store = Store::new();
    apply(&mut store, Command::Put(put("there"))).unwrap();
    apply(&mut store, bind("x", 2)).unwrap();
    let exists = |key: &str| Compare {
        key: Bytes::copy_from_slice(key.as_bytes()),
        range_end: Bytes::new(),
        result: CompareResult::Greater,
        target: CompareTarget::Version(0),
    };
    // Puts by number: 0 and, in the nested one, 1 (runs) and 2 (does not), then 3, and 4 in the branch not taken.
    let nested = Txn {
        compare: vec![exists("there")],
        success: vec![TxnOp::Put(put("n1"))],
        failure: vec![TxnOp::Put(put("n2"))],
    };
    let txn = Txn {
        compare: vec![exists("there")],
        success: vec![TxnOp::Put(put("p0")), TxnOp::Txn(nested), TxnOp::Put(put("p3"))],
        failure: vec![TxnOp::Put(put("p4"))],
    };
    for bad in [0, 1, 3] {
        let violation = apply(&mut store, judged(1, &[2, bad], Command::Txn(txn.clone())));
        let report = Bytes::from(bad.to_string());
        assert_eq!(violation, Err(CommandError::SchemaViolation { report }), "{bad}");
    }
    assert_eq!(store.state().revision(), 2);
    assert!(apply(&mut store, judged(1, &[2, 4], Command::Txn(txn))).is_ok());
    assert!(store.state().get(b"p3").is_some());
}

#[test]
fn a_schema_is_not_bound_over_values_that_nobody_judged() {
    let mut store = Store::new();
    apply(&mut store, Command::Put(put("a/1"))).unwrap();
    apply(&mut store, Command::Put(put("b"))).unwrap();
    assert_eq!(
        apply(&mut store, bind("a/*", 1)),
        Err(CommandError::ValuesChanged)
    );
    assert_eq!(apply(&mut store, bind("b", 2)), Err(CommandError::ValuesChanged));
    assert!(
        apply(&mut store, bind("a/*", 2)).is_ok(),
        "what came later is none of its keys"
    );
    apply(&mut store, Command::Compact(Compact { revision: 3 })).unwrap();
    assert_eq!(
        apply(&mut store, bind("c", 1)),
        Err(CommandError::ValuesChanged),
        "nobody knows any more"
    );
    let unbind = |pattern: &'static str| {
        Command::SetSchema(SetSchema {
            pattern: pattern.into(),
            ..SetSchema::default()
        })
    };
    assert!(apply(&mut store, unbind("a/*")).is_ok());
    assert!(matches!(
        apply(&mut store, unbind("a/*")),
        Err(CommandError::RuleNotFound { .. })
    ));
}

#[test]
fn schemas_are_limited() {
    let mut store = Store::new();
    let large = |pattern: String| {
        Command::SetSchema(SetSchema {
            pattern: pattern.into(),
            schema: Some(SchemaRule {
                schema: vec![b' '; 4 << 20].into(),
                sealed: false,
            }),
            checked_revision: 1,
        })
    };
    for number in 0..3 {
        apply(&mut store, large(number.to_string())).unwrap();
    }
    assert!(
        apply(&mut store, large("0".to_owned())).is_ok(),
        "one in place of another"
    );
    assert!(matches!(
        apply(&mut store, large("4".to_owned())),
        Err(CommandError::TooManyRules { .. })
    ));
    let mut store = Store::new();
    for number in 0..MAX_SCHEMAS {
        apply(&mut store, bind(&number.to_string(), 1)).unwrap();
    }
    assert!(matches!(
        apply(&mut store, bind("more", 1)),
        Err(CommandError::TooManyRules { .. })
    ));
    assert_eq!(store.state().schemas().count(), MAX_SCHEMAS);
}

#[test]
fn notifications_go_forward_and_keep_the_newest_dead_letters() {
    let mut store = Store::new();
    apply(&mut store, Command::Put(put("k"))).unwrap();
    let set = |rule: Option<&'static str>| {
        Command::SetNotification(SetNotification {
            name: "n".to_owned(),
            rule: rule.map(Bytes::from),
        })
    };
    apply(&mut store, set(Some("first"))).unwrap();
    let progress = |done: i64, letters: usize, forget: Vec<u64>| {
        let letter = DeadLetter {
            reason: "x".repeat(MAX_REASON_BYTES + 9),
            ..DeadLetter::default()
        };
        Command::NotificationProgress(NotificationProgress {
            name: "n".to_owned(),
            done_through_revision: done,
            dead_letters: vec![letter; letters],
            forget,
        })
    };
    let rule = |store: &Store| store.state().notifications().next().unwrap().1.clone();
    assert_eq!(
        rule(&store).done_through_revision,
        2,
        "a new rule begins with the next change"
    );
    apply(&mut store, progress(99, 0, vec![])).unwrap();
    assert_eq!(
        rule(&store).done_through_revision,
        2,
        "no further than there are revisions"
    );
    apply(&mut store, Command::Put(put("k"))).unwrap();
    apply(&mut store, progress(3, MAX_DEAD_LETTERS + 2, vec![])).unwrap();
    apply(&mut store, progress(1, 0, vec![5, 7])).unwrap();
    apply(&mut store, set(Some("second"))).unwrap();
    let rule = rule(&store);
    assert_eq!((&*rule.rule, rule.done_through_revision), (&b"second"[..], 3));
    let ids: Vec<u64> = rule.dead_letters.iter().map(|letter| letter.id).collect();
    assert_eq!(ids[..5], [2, 3, 4, 6, 8]);
    assert_eq!(ids.len(), MAX_DEAD_LETTERS - 2);
    assert_eq!(rule.dead_letters[0].reason.len(), MAX_REASON_BYTES);
    apply(&mut store, set(None)).unwrap();
    assert!(matches!(
        apply(&mut store, progress(4, 0, vec![])),
        Err(CommandError::RuleNotFound { .. })
    ));
}

#[test]
fn rules_survive_their_encoding() {
    let mut store = Store::new();
    apply(&mut store, Command::Put(put("k"))).unwrap();
    apply(&mut store, bind("a*", 2)).unwrap();
    apply(&mut store, bind("b", 2)).unwrap();
    let sealed = SetSchema {
        pattern: "s/*".into(),
        schema: Some(SchemaRule {
            schema: Bytes::new(),
            sealed: true,
        }),
        checked_revision: 2,
    };
    apply(&mut store, Command::SetSchema(sealed)).unwrap();
    let name = "n".to_owned();
    apply(
        &mut store,
        Command::SetNotification(SetNotification {
            name: name.clone(),
            rule: Some("r".into()),
        }),
    )
    .unwrap();
    let dead_letters = vec![DeadLetter {
        reason: "down".to_owned(),
        to_revision: 2,
        ..DeadLetter::default()
    }];
    let progress = NotificationProgress {
        name,
        dead_letters,
        ..NotificationProgress::default()
    };
    apply(&mut store, Command::NotificationProgress(progress)).unwrap();
    let retention = Retention {
        count: 3,
        max_age_secs: 9,
        floor_revision: 0,
    };
    apply(
        &mut store,
        Command::SetRetention(SetRetention {
            prefix: "p".into(),
            retention: Some(retention),
        }),
    )
    .unwrap();

    let state = store.state();
    let mut loader = StateLoader::new(StateHeader::of(&state)).unwrap();
    codec::encode_rules(&state, |item| {
        for end in 0..item.len() {
            assert!(codec::decode_rule(&item[..end]).is_err());
        }
        loader.rule(codec::decode_rule(item).unwrap())
    })
    .unwrap();
    for record in state.records_in_seq_order() {
        loader.record(codec::RecordView::of(&record)).unwrap();
    }
    let loaded = loader.finish().unwrap().state();
    assert_eq!(loaded.schema_revision(), 3);
    assert!(loaded.schemas().eq(state.schemas()));
    assert!(loaded.notifications().eq(state.notifications()));
    assert!(loaded.retention().eq(state.retention()));
}
