//! A folder that was restored to is one a member starts from, with the state that was given.

mod support;

use cfgstore_replica::{Bootstrap, InitialMember, Member, MemberConfig, OpenError, restore};
use cfgstore_store::{Caller, Command, Compact, LeaseGrant, Store};
use support::{apply, dump, put};

fn store() -> Store {
    let mut store = Store::new();
    let mut apply = |command| store.apply(0, &Caller::default(), &command).map(|_| ()).unwrap();
    apply(Command::LeaseGrant(LeaseGrant { id: 7, ttl_secs: 600 }));
    for n in 0..200 {
        apply(put(format!("key/{}", n % 20), vec![n; 1000]));
    }
    apply(Command::Compact(Compact { revision: 100 }));
    store
}

fn quick(mut config: MemberConfig) -> MemberConfig {
    config.heartbeat_interval_ms = 10;
    config.election_timeout_min_ms = 50;
    config.election_timeout_max_ms = 100;
    config
}

fn restored_in(list: Vec<InitialMember>, config: &mut MemberConfig) {
    config.name = list[0].name.clone();
    config.peer_urls = list[0].peer_urls.clone();
    config.bootstrap = Bootstrap::New {
        members: list,
        token: "t".to_owned(),
    };
}

fn initial(name: &str) -> InitialMember {
    InitialMember {
        name: name.to_owned(),
        peer_urls: vec![format!("http://{name}.invalid:2380")],
    }
}

async fn assert_starts(config: MemberConfig) {
    let folder = config.data_dir.clone();
    let store = store();
    let restored = restore(&config, &store).unwrap();
    for round in 0..3 {
        let member = Member::open(config.clone()).await.unwrap();
        let status = member.status();
        assert_eq!(
            (status.cluster_id, status.member_id),
            (restored.cluster_id, restored.member_id)
        );
        if round == 0 {
            assert_eq!(dump(&member.state()), dump(&store.state()));
        }
        let revision = member.state().revision();
        assert_eq!(apply(&member, put("new", "value")).await, revision + 1);
        member.shutdown().await.unwrap();
    }
    assert!(matches!(restore(&config, &store), Err(OpenError::NotEmpty(path)) if path == folder));
}

#[tokio::test]
async fn a_member_alone_starts_from_it() {
    let folder = tempfile::tempdir().unwrap();
    assert_starts(quick(MemberConfig::new(folder.path().join("member")))).await;
}

#[tokio::test]
async fn a_first_member_of_one_starts_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = quick(MemberConfig::new(folder.path()));
    restored_in(vec![initial("a")], &mut config);
    assert_starts(config).await;
}

#[test]
fn members_of_one_cluster_get_the_ids_of_one_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let restored = ["a", "b"].map(|name| {
        let mut config = MemberConfig::new(folder.path().join(name));
        let other = if name == "a" { "b" } else { "a" };
        restored_in(vec![initial(name), initial(other)], &mut config);
        restore(&config, &store()).unwrap()
    });
    assert_eq!(restored[0].cluster_id, restored[1].cluster_id);
    assert_ne!(restored[0].member_id, restored[1].member_id);
}

/// What is left of it must not be mistaken for a member without data.
#[tokio::test]
async fn an_unfinished_restore_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = MemberConfig::new(folder.path());
    restore(&config, &store()).unwrap();
    std::fs::remove_file(folder.path().join("identity")).unwrap();
    assert!(matches!(
        Member::open(config.clone()).await,
        Err(OpenError::IdentityMissing(_))
    ));

    let mut joins = MemberConfig::new(folder.path().join("joins"));
    joins.bootstrap = Bootstrap::Existing {
        members: vec![initial("a")],
    };
    assert!(matches!(restore(&joins, &store()), Err(OpenError::Config(_))));
}
