// What an application does with a configuration store, through etcd's own Go client.
//
// The same program runs against cfgstore and against etcd:
//
//	go run . -endpoints http://10.0.0.1:2379,http://10.0.0.2:2379,http://10.0.0.3:2379
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Every key of this program is below this prefix.
const prefix = "examples/go/"

func main() {
	endpoints := flag.String("endpoints", "http://127.0.0.1:2379", "addresses of the members, separated by commas")
	failover := flag.Bool("failover", false, "write until standard input ends, while you kill a member")
	flag.Parse()

	client, err := clientv3.New(clientv3.Config{
		Endpoints:   strings.Split(*endpoints, ","),
		DialTimeout: 5 * time.Second,
		// So that a member whose machine vanished is left within seconds, not within TCP's minutes.
		DialKeepAliveTime:    2 * time.Second,
		DialKeepAliveTimeout: 2 * time.Second,
		Logger:               zap.NewNop(),
	})
	if err == nil {
		defer client.Close()
		if *failover {
			err = surviveAMember(client, os.Stdin)
		} else {
			err = tour(client)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// tour shows each part of the API once, and leaves nothing behind.
func tour(client *clientv3.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := client.Delete(ctx, prefix, clientv3.WithPrefix()); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		run  func(context.Context, *clientv3.Client) error
	}{
		{"keys", keys},
		{"watch", watch},
		{"transactions", transactions},
		{"leases", leases},
		{"mutex", mutex},
		{"election", election},
		{"errors", errorsAreTyped},
	} {
		fmt.Printf("== %s\n", part.name)
		if err := part.run(ctx, client); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	_, err := client.Delete(ctx, prefix, clientv3.WithPrefix())
	return err
}

func keys(ctx context.Context, client *clientv3.Client) error {
	for _, key := range []string{"a", "b", "c"} {
		if _, err := client.Put(ctx, prefix+"keys/"+key, "value of "+key); err != nil {
			return err
		}
	}
	one, err := client.Get(ctx, prefix+"keys/a")
	if err != nil {
		return err
	}
	fmt.Printf("get: %s, version %d\n", one.Kvs[0].Value, one.Kvs[0].Version)

	page, err := client.Get(ctx, prefix+"keys/", clientv3.WithPrefix(), clientv3.WithLimit(2),
		clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
	if err != nil {
		return err
	}
	for _, kv := range page.Kvs {
		fmt.Printf("listed: %s\n", strings.TrimPrefix(string(kv.Key), prefix))
	}
	fmt.Printf("of %d keys, more: %v\n", page.Count, page.More)

	// The past stays readable until it is compacted.
	if _, err := client.Put(ctx, prefix+"keys/a", "changed"); err != nil {
		return err
	}
	old, err := client.Get(ctx, prefix+"keys/a", clientv3.WithRev(one.Header.Revision))
	if err != nil {
		return err
	}
	fmt.Printf("then: %s\n", old.Kvs[0].Value)

	gone, err := client.Delete(ctx, prefix+"keys/", clientv3.WithPrefix(), clientv3.WithPrevKV())
	if err != nil {
		return err
	}
	fmt.Printf("deleted: %d, the first was %q\n", gone.Deleted, gone.PrevKvs[0].Value)
	return nil
}

// watch sees every change of a prefix in order, from the revision it names: none is lost while it connects.
func watch(ctx context.Context, client *clientv3.Client) error {
	first, err := client.Put(ctx, prefix+"watch/database", "db1")
	if err != nil {
		return err
	}
	if _, err := client.Put(ctx, prefix+"watch/database", "db2"); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes := client.Watch(ctx, prefix+"watch/", clientv3.WithPrefix(), clientv3.WithPrevKV(),
		clientv3.WithRev(first.Header.Revision))
	if _, err := client.Delete(ctx, prefix+"watch/database"); err != nil {
		return err
	}
	for answer := range changes {
		if err := answer.Err(); err != nil {
			return err
		}
		for _, event := range answer.Events {
			before := ""
			if event.PrevKv != nil {
				before = string(event.PrevKv.Value)
			}
			fmt.Printf("%s %q, before %q\n", event.Type, event.Kv.Value, before)
			if event.Type == clientv3.EventTypeDelete {
				return nil
			}
		}
	}
	return errors.New("the watch ended before the delete")
}

// transactions write only when what was read is still true.
func transactions(ctx context.Context, client *clientv3.Client) error {
	key := prefix + "txn/owner"
	take := func(owner string) (*clientv3.TxnResponse, error) {
		return client.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
			Then(clientv3.OpPut(key, owner)).
			Else(clientv3.OpGet(key)).
			Commit()
	}
	for _, owner := range []string{"alice", "bob"} {
		answer, err := take(owner)
		if err != nil {
			return err
		}
		if answer.Succeeded {
			fmt.Printf("%s took it\n", owner)
		} else {
			fmt.Printf("%s found it taken by %s\n", owner, answer.Responses[0].GetResponseRange().Kvs[0].Value)
		}
	}
	return nil
}

// leases bind keys to the life of a process: it keeps the lease alive, and its keys end with it.
func leases(ctx context.Context, client *clientv3.Client) error {
	lease, err := client.Grant(ctx, 60)
	if err != nil {
		return err
	}
	fmt.Printf("granted for %d s\n", lease.TTL)
	if _, err := client.Put(ctx, prefix+"lease/host1", "up", clientv3.WithLease(lease.ID)); err != nil {
		return err
	}
	alive, cancel := context.WithCancel(ctx)
	answers, err := client.KeepAlive(alive, lease.ID)
	if err != nil {
		cancel()
		return err
	}
	answer := <-answers
	cancel()
	if answer == nil {
		return errors.New("the lease was not kept alive")
	}
	fmt.Printf("kept alive for %d s\n", answer.TTL)
	left, err := client.TimeToLive(ctx, lease.ID, clientv3.WithAttachedKeys())
	if err != nil {
		return err
	}
	fmt.Printf("holds %s, time left: %v\n", left.Keys, left.TTL > 0 && left.TTL <= 60)
	if _, err := client.Revoke(ctx, lease.ID); err != nil {
		return err
	}
	after, err := client.Get(ctx, prefix+"lease/host1", clientv3.WithCountOnly())
	if err != nil {
		return err
	}
	fmt.Printf("keys after the revoke: %d\n", after.Count)
	return nil
}

// errorsAreTyped shows that a failure can be told from another.
func errorsAreTyped(ctx context.Context, client *clientv3.Client) error {
	put, err := client.Put(ctx, prefix+"errors", "1")
	if err != nil {
		return err
	}
	_, err = client.Get(ctx, prefix+"errors", clientv3.WithRev(put.Header.Revision+1000))
	fmt.Println("from the future:", err, errors.Is(err, rpctypes.ErrFutureRev))

	_, err = client.Put(ctx, prefix+"errors", "2", clientv3.WithLease(1))
	fmt.Println("no such lease:", err, errors.Is(err, rpctypes.ErrLeaseNotFound))

	if _, err := client.Put(ctx, prefix+"errors", "3"); err != nil {
		return err
	}
	if _, err := client.Compact(ctx, put.Header.Revision+1); err != nil {
		return err
	}
	_, err = client.Get(ctx, prefix+"errors", clientv3.WithRev(put.Header.Revision))
	fmt.Println("compacted:", err, errors.Is(err, rpctypes.ErrCompacted))

	// A member that has not heard of the compaction yet still shows the past: ask until one has.
	for ctx.Err() == nil {
		watching, cancel := context.WithCancel(ctx)
		answer := <-client.Watch(watching, prefix+"errors", clientv3.WithRev(put.Header.Revision))
		cancel()
		if answer.Err() != nil {
			fmt.Println("watch of the compacted:", answer.Err(), answer.CompactRevision == put.Header.Revision+1)
			return nil
		}
	}
	return ctx.Err()
}
