import static java.nio.charset.StandardCharsets.UTF_8;

import io.etcd.jetcd.ByteSequence;
import io.etcd.jetcd.Client;
import io.etcd.jetcd.KeyValue;
import io.etcd.jetcd.Watch;
import io.etcd.jetcd.common.exception.EtcdException;
import io.etcd.jetcd.election.LeaderResponse;
import io.etcd.jetcd.election.CampaignResponse;
import io.etcd.jetcd.election.NoLeaderException;
import io.etcd.jetcd.kv.TxnResponse;
import io.etcd.jetcd.op.Cmp;
import io.etcd.jetcd.op.CmpTarget;
import io.etcd.jetcd.op.Op;
import io.etcd.jetcd.options.CompactOption;
import io.etcd.jetcd.options.DeleteOption;
import io.etcd.jetcd.options.GetOption;
import io.etcd.jetcd.options.LeaseOption;
import io.etcd.jetcd.options.PutOption;
import io.etcd.jetcd.options.WatchOption;
import io.etcd.jetcd.watch.WatchEvent;
import io.etcd.jetcd.watch.WatchResponse;
import io.grpc.stub.StreamObserver;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** What jetcd does against a store: prints the same text for every store that speaks etcd. */
public final class Scenario {
    private static final String PREFIX = "jetcd/";
    private static final PutOption PLAIN = PutOption.DEFAULT;

    private Scenario() {}

    public static void main(String[] arguments) throws Exception {
        try (Client client = Client.builder().endpoints(arguments[0].split(",")).build()) {
            client.getKVClient().delete(bytes(PREFIX), DeleteOption.builder().isPrefix(true).build()).get();
            keys(client);
            transactions(client);
            watch(client);
            leases(client);
            locks(client);
            election(client);
            compaction(client);
            cluster(client);
        }
        System.exit(0); // its threads outlive the client
    }

    private static void keys(Client client) throws Exception {
        System.out.println("== keys");
        var kv = client.getKVClient();
        kv.put(key("a"), bytes("1")).get();
        var put = kv.put(key("a"), bytes("2"), PutOption.builder().withPrevKV().build()).get();
        System.out.println("before: " + put.getPrevKv().getValue());
        kv.put(key("b"), bytes("3")).get();
        var all = kv.get(key(""), GetOption.builder().isPrefix(true).withLimit(1).build()).get();
        System.out.println("count " + all.getCount() + ", more " + all.isMore() + ", first " + text(all.getKvs().get(0)));
        var old = kv.get(key("a"), GetOption.builder().withRevision(put.getHeader().getRevision() - 1).build()).get();
        System.out.println("then: " + text(old.getKvs().get(0)));
        var sorted = kv.get(key(""), GetOption.builder().isPrefix(true).withKeysOnly(true)
            .withSortField(GetOption.SortTarget.MOD).withSortOrder(GetOption.SortOrder.DESCEND).build()).get();
        sorted.getKvs().forEach(each -> System.out.println("sorted: " + each.getKey()));
        System.out.println("serializable: "
            + kv.get(key("a"), GetOption.builder().withSerializable(true).build()).get().getCount());
        var gone = kv.delete(key(""), DeleteOption.builder().isPrefix(true).withPrevKV(true).build()).get();
        System.out.println("deleted " + gone.getDeleted() + ", first " + text(gone.getPrevKvs().get(0)));
    }

    private static void transactions(Client client) throws Exception {
        System.out.println("== transactions");
        for (String owner : new String[] {"alice", "bob"}) {
            TxnResponse answer = client.getKVClient().txn()
                .If(new Cmp(key("owner"), Cmp.Op.EQUAL, CmpTarget.version(0)))
                .Then(Op.put(key("owner"), bytes(owner), PLAIN))
                .Else(Op.get(key("owner"), GetOption.DEFAULT))
                .commit().get();
            System.out.println(owner + " " + answer.isSucceeded()
                + (answer.isSucceeded() ? "" : ", taken by " + text(answer.getGetResponses().get(0).getKvs().get(0))));
        }
        failure("two puts of one key", client.getKVClient().txn()
            .Then(Op.put(key("x"), bytes("1"), PLAIN), Op.put(key("x"), bytes("2"), PLAIN)).commit());
    }

    private static void watch(Client client) throws Exception {
        System.out.println("== watch");
        var kv = client.getKVClient();
        long start = kv.put(key("watched"), bytes("1")).get().getHeader().getRevision();
        kv.put(key("watched"), bytes("2")).get();
        BlockingQueue<WatchResponse> seen = new LinkedBlockingQueue<>();
        Watch.Listener listener = Watch.listener(seen::add);
        var option = WatchOption.builder().isPrefix(true).withPrevKV(true).withRevision(start).build();
        try (Watch.Watcher watcher = client.getWatchClient().watch(key("watched"), option, listener)) {
            kv.delete(key("watched")).get();
            int events = 0;
            while (events < 3) {
                WatchResponse answer = seen.poll(30, TimeUnit.SECONDS);
                for (WatchEvent event : answer.getEvents()) {
                    events++;
                    System.out.println(event.getEventType() + " " + event.getKeyValue().getKey() + " '"
                        + event.getKeyValue().getValue() + "', before '" + event.getPrevKV().getValue() + "'");
                }
            }
            // Asked for the revision it has reached, the stream answers without an event.
            watcher.requestProgress();
            WatchResponse progress = seen.poll(30, TimeUnit.SECONDS);
            System.out.println("progress: " + progress.isProgressNotify() + ", "
                + (progress.getHeader().getRevision() >= start + 2));
        }
    }

    private static void leases(Client client) throws Exception {
        System.out.println("== leases");
        var leases = client.getLeaseClient();
        var granted = leases.grant(60).get();
        System.out.println("granted for " + granted.getTTL());
        client.getKVClient().put(key("leased"), bytes("1"), PutOption.builder().withLeaseId(granted.getID()).build()).get();
        System.out.println("kept alive once: " + leases.keepAliveOnce(granted.getID()).get().getTTL());
        CompletableFuture<Long> answered = new CompletableFuture<>();
        try (var alive = leases.keepAlive(granted.getID(), new StreamObserver<>() {
            @Override
            public void onNext(io.etcd.jetcd.lease.LeaseKeepAliveResponse answer) {
                answered.complete(answer.getTTL());
            }

            @Override
            public void onError(Throwable error) {
                answered.completeExceptionally(error);
            }

            @Override
            public void onCompleted() {}
        })) {
            System.out.println("kept alive: " + answered.get(30, TimeUnit.SECONDS));
        }
        var left = leases.timeToLive(granted.getID(), LeaseOption.builder().withAttachedKeys().build()).get();
        System.out.println("holds " + left.getKeys() + " of " + left.getGrantedTTL());
        leases.revoke(granted.getID()).get();
        System.out.println("after the revoke: " + client.getKVClient().get(key("leased")).get().getCount());
        failure("revoked twice", leases.revoke(granted.getID()));
        failure("put under no lease",
            client.getKVClient().put(key("leased"), bytes("1"), PutOption.builder().withLeaseId(12345).build()));
        System.out.println("time to live of none: "
            + leases.timeToLive(granted.getID(), LeaseOption.DEFAULT).get().getTTL());
    }

    private static void locks(Client client) throws Exception {
        System.out.println("== locks");
        long first = client.getLeaseClient().grant(60).get().getID();
        long second = client.getLeaseClient().grant(60).get().getID();
        ByteSequence held = client.getLockClient().lock(key("lock"), first).get().getKey();
        System.out.println("held as " + (held.toString().equals(PREFIX + "lock/" + Long.toHexString(first))));
        var waiting = client.getLockClient().lock(key("lock"), second);
        ByteSequence again = client.getLockClient().lock(key("lock"), first).get().getKey();
        System.out.println("the holder may ask again: " + again.equals(held) + ", the other waits: " + !waiting.isDone());
        client.getLockClient().unlock(held).get();
        ByteSequence next = waiting.get(30, TimeUnit.SECONDS).getKey();
        System.out.println("then the other has it: " + next.toString().endsWith(Long.toHexString(second)));
        client.getLeaseClient().revoke(second).get();
        System.out.println("freed with its lease: " + client.getKVClient().get(next).get().getCount());
        client.getLeaseClient().revoke(first).get();
    }

    private static void election(Client client) throws Exception {
        System.out.println("== election");
        var elections = client.getElectionClient();
        try {
            elections.leader(key("election")).get(30, TimeUnit.SECONDS);
        } catch (ExecutionException error) {
            System.out.println("nobody: " + (error.getCause() instanceof NoLeaderException));
        }
        long first = client.getLeaseClient().grant(60).get().getID();
        long second = client.getLeaseClient().grant(60).get().getID();
        CampaignResponse leader = elections.campaign(key("election"), first, bytes("first")).get(30, TimeUnit.SECONDS);
        elections.proclaim(leader.getLeader(), bytes("first, again")).get();
        LeaderResponse now = elections.leader(key("election")).get();
        System.out.println("leader: " + now.getKv().getValue());
        var campaign = elections.campaign(key("election"), second, bytes("second"));
        elections.resign(leader.getLeader()).get();
        CampaignResponse follower = campaign.get(30, TimeUnit.SECONDS);
        System.out.println("leader: " + elections.leader(key("election")).get().getKv().getValue());
        elections.resign(follower.getLeader()).get();
        client.getLeaseClient().revoke(first).get();
        client.getLeaseClient().revoke(second).get();
    }

    private static void compaction(Client client) throws Exception {
        System.out.println("== compaction");
        var kv = client.getKVClient();
        long old = kv.put(key("compacted"), bytes("1")).get().getHeader().getRevision();
        long now = kv.put(key("compacted"), bytes("2")).get().getHeader().getRevision();
        kv.compact(now, CompactOption.builder().withCompactPhysical(true).build()).get();
        failure("compacted twice", kv.compact(now));
        failure("from the past", kv.get(key("compacted"), GetOption.builder().withRevision(old).build()));
        failure("from the future", kv.get(key("compacted"), GetOption.builder().withRevision(now + 1000).build()));
        System.out.println("watch: " + endOfWatch(client, old));
    }

    /** How a watch of a compacted revision ends. A member that has not heard of the compaction yet still shows the past. */
    private static Throwable endOfWatch(Client client, long revision) throws Exception {
        var option = WatchOption.builder().withRevision(revision).build();
        for (int attempt = 1; ; attempt++) {
            CompletableFuture<Throwable> ended = new CompletableFuture<>();
            try (var watcher = client.getWatchClient().watch(key("compacted"), option,
                    Watch.listener(answer -> {}, ended::complete))) {
                return ended.get(3, TimeUnit.SECONDS);
            } catch (TimeoutException error) {
                if (attempt == 10) {
                    throw error;
                }
            }
        }
    }

    private static void cluster(Client client) throws Exception {
        System.out.println("== cluster");
        var members = client.getClusterClient().listMember().get().getMembers();
        System.out.println("every member has an address: "
            + members.stream().allMatch(member -> !member.getClientURIs().isEmpty()));
        System.out.println("alarms: " + client.getMaintenanceClient().listAlarms().get().getAlarms().size());
    }

    /** Prints how a call failed. */
    private static void failure(String what, CompletableFuture<?> call) throws Exception {
        try {
            call.get(30, TimeUnit.SECONDS);
            System.out.println(what + ": succeeded");
        } catch (ExecutionException error) {
            Throwable cause = error.getCause();
            System.out.println(what + ": " + (cause instanceof EtcdException known
                ? known.getErrorCode() + " " + known.getMessage() : cause.toString()));
        }
    }

    private static ByteSequence key(String name) {
        return bytes(PREFIX + name);
    }

    private static ByteSequence bytes(String text) {
        return ByteSequence.from(text, UTF_8);
    }

    private static String text(KeyValue kv) {
        return kv.getKey() + " = " + kv.getValue() + ", version " + kv.getVersion();
    }
}
