// The load shape of Kubernetes' API server, through etcd's Go client: every write is a transaction that compares the
// mod revision, lists come in pages of one revision, and a watch with progress notifications follows from the list's.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	registry = "/registry/pods/"
	objects  = 25
	page     = 10
)

func main() {
	client, err := clientv3.New(clientv3.Config{
		Endpoints:   strings.Split(os.Args[1], ","),
		DialTimeout: 10 * time.Second,
		Logger:      zap.NewNop(),
	})
	if err == nil {
		defer client.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err = run(ctx, client)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, client *clientv3.Client) error {
	if _, err := client.Delete(ctx, registry, clientv3.WithPrefix()); err != nil {
		return err
	}
	created, err := create(ctx, client)
	if err != nil {
		return err
	}
	listed, err := list(ctx, client)
	if err != nil {
		return err
	}
	if err := watch(ctx, client, listed, created); err != nil {
		return err
	}
	return compact(ctx, client, listed)
}

// write is GuaranteedUpdate's transaction: it answers the new revision, or the object that is there instead.
func write(ctx context.Context, client *clientv3.Client, key, value string, expected int64) (*clientv3.TxnResponse, error) {
	return client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", expected)).
		Then(clientv3.OpPut(key, value)).
		Else(clientv3.OpGet(key)).
		Commit()
}

func name(i int) string { return fmt.Sprintf("%sdefault/pod-%02d", registry, i) }

// create writes the objects, and answers their revisions.
func create(ctx context.Context, client *clientv3.Client) ([]int64, error) {
	revisions := make([]int64, objects)
	for i := range revisions {
		answer, err := write(ctx, client, name(i), "created", 0)
		if err != nil {
			return nil, err
		}
		if !answer.Succeeded {
			return nil, fmt.Errorf("%s exists already", name(i))
		}
		revisions[i] = answer.Header.Revision
	}
	again, err := write(ctx, client, name(0), "created twice", 0)
	if err != nil {
		return nil, err
	}
	found := again.Responses[0].GetResponseRange().Kvs[0]
	fmt.Printf("created twice: %v, there is %q of the right revision: %v\n",
		again.Succeeded, found.Value, found.ModRevision == revisions[0])
	return revisions, nil
}

// list reads all objects in pages of the first page's revision, though others write meanwhile.
func list(ctx context.Context, client *clientv3.Client) (int64, error) {
	end := clientv3.GetPrefixRangeEnd(registry)
	from, revision, seen := registry, int64(0), 0
	for {
		answer, err := client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(page), clientv3.WithRev(revision))
		if err != nil {
			return 0, err
		}
		if revision == 0 {
			revision = answer.Header.Revision
			if _, err := client.Put(ctx, registry+"default/latecomer", "not in this list"); err != nil {
				return 0, err
			}
		}
		seen += len(answer.Kvs)
		fmt.Printf("page of %d, %d from here on, more: %v\n", len(answer.Kvs), answer.Count, answer.More)
		if !answer.More {
			break
		}
		from = string(answer.Kvs[len(answer.Kvs)-1].Key) + "\x00"
	}
	fmt.Printf("listed %d\n", seen)
	count, err := client.Get(ctx, registry, clientv3.WithRange(end), clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	fmt.Printf("counted %d\n", count.Count)
	_, err = client.Delete(ctx, registry+"default/latecomer")
	return revision, err
}

// watch follows from the list on: updates, a stale update, a delete, then the progress that it asks for.
func watch(ctx context.Context, client *clientv3.Client, from int64, revisions []int64) error {
	watching, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	events := client.Watch(watching, registry, clientv3.WithPrefix(), clientv3.WithRev(from+1),
		clientv3.WithPrevKV(), clientv3.WithProgressNotify())

	for i := 0; i < 3; i++ {
		answer, err := write(ctx, client, name(i), "updated", revisions[i])
		if err != nil || !answer.Succeeded {
			return fmt.Errorf("update of %s: %v, %v", name(i), answer, err)
		}
		stale, err := write(ctx, client, name(i), "stale", revisions[i])
		if err != nil || stale.Succeeded {
			return fmt.Errorf("stale update of %s: %v, %v", name(i), stale, err)
		}
		revisions[i] = answer.Header.Revision
	}
	gone, err := client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(name(0)), "=", revisions[0])).
		Then(clientv3.OpDelete(name(0), clientv3.WithPrevKV())).
		Else(clientv3.OpGet(name(0))).
		Commit()
	if err != nil || !gone.Succeeded {
		return fmt.Errorf("delete: %v, %v", gone, err)
	}
	fmt.Printf("deleted what was %q\n", gone.Responses[0].GetResponseDeleteRange().PrevKvs[0].Value)

	last := int64(0)
	for last < gone.Header.Revision {
		answer, open := <-events
		if !open {
			return errors.New("the watch ended")
		}
		if err := answer.Err(); err != nil {
			return err
		}
		for _, event := range answer.Events {
			if event.Kv.ModRevision < last {
				return fmt.Errorf("revision %d came after %d", event.Kv.ModRevision, last)
			}
			last = event.Kv.ModRevision
			before := "nothing"
			if event.PrevKv != nil {
				before = string(event.PrevKv.Value)
			}
			fmt.Printf("%s %s, before: %s\n", event.Type, strings.TrimPrefix(string(event.Kv.Key), registry), before)
		}
	}
	// The watch cache asks how far the watch is before it answers a consistent list from memory. A stream that is not
	// synchronized yet may stay silent, so it asks again.
	for {
		if err := client.RequestProgress(watching); err != nil {
			return err
		}
		select {
		case answer := <-events:
			if answer.IsProgressNotify() {
				fmt.Println("progress reached the delete:", answer.Header.Revision >= gone.Header.Revision)
				return answer.Err()
			}
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// compact is the API server's compactor: it agrees on the revision by a transaction, and old lists then end.
func compact(ctx context.Context, client *clientv3.Client, listed int64) error {
	if _, err := client.Delete(ctx, "compact_rev_key"); err != nil {
		return err
	}
	for _, version := range []int64{0, 0} {
		answer, err := client.Txn(ctx).
			If(clientv3.Compare(clientv3.Version("compact_rev_key"), "=", version)).
			Then(clientv3.OpPut("compact_rev_key", fmt.Sprint(listed+1))).
			Else(clientv3.OpGet("compact_rev_key")).
			Commit()
		if err != nil {
			return err
		}
		fmt.Println("this one compacts:", answer.Succeeded)
		if answer.Succeeded {
			if _, err := client.Compact(ctx, listed+1); err != nil {
				return err
			}
		}
	}
	_, err := client.Get(ctx, registry, clientv3.WithPrefix(), clientv3.WithRev(listed))
	fmt.Println("the list that went on too long:", err, errors.Is(err, rpctypes.ErrCompacted))
	// A member that has not heard of the compaction yet still shows the past: ask until one has.
	for ctx.Err() == nil {
		watching, cancel := context.WithCancel(ctx)
		answer := <-client.Watch(watching, registry, clientv3.WithPrefix(), clientv3.WithRev(listed))
		cancel()
		if answer.Err() != nil {
			fmt.Println("the watch that came too late:", answer.Err())
			return nil
		}
	}
	return ctx.Err()
}
