//! What grows must stop growing.

mod support;

use cfgstore_replica::Member;
use cfgstore_store::{Command, Compact, Retention, SetRetention};
use support::{apply, disk_bytes, dump, put, small};

#[tokio::test]
async fn endless_overwrites_with_compaction_take_bounded_space() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let member = Member::open(small(&data)).await.unwrap();
    // The change log has a bound of its own, which is larger than all that is written here.
    let retention = Some(Retention {
        count: 1,
        max_age_secs: 0,
        floor_revision: 0,
    });
    let prefix = Default::default();
    apply(&member, Command::SetRetention(SetRetention { prefix, retention })).await;
    let mut largest = 0;
    let mut written = 0;
    for round in 0..120_u64 {
        let writers: Vec<_> = (0..20)
            .map(|writer| {
                let member = member.clone();
                tokio::spawn(async move {
                    for n in 0..10 {
                        apply(
                            &member,
                            put(format!("key/{}", writer * 10 + n), vec![round as u8; 2000]),
                        )
                        .await;
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        written += 200 * 2000;
        let revision = member.state().revision();
        apply(&member, Command::Compact(Compact { revision })).await;
        if round >= 10 {
            largest = largest.max(disk_bytes(&data));
        }
    }
    assert_eq!(member.state().record_count(), 200);
    let status = member.status();
    assert!(
        status.purged_index > 0 && status.snapshot_index > status.purged_index,
        "{status:?}"
    );
    // 400 kB are live, and the log alone would be more than this if it were not purged.
    println!("{written} bytes written, at most {largest} on disk");
    assert!(
        largest < 32_000_000,
        "{largest} bytes on disk for 400 kB of live data"
    );
    let expected = dump(&member.state());
    member.shutdown().await.unwrap();
    let member = Member::open(small(&data)).await.unwrap();
    assert!(dump(&member.state()) == expected);
    member.shutdown().await.unwrap();
}
