package main

import (
	"context"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// mutex: one holder at a time. A session is a lease that is kept alive; a holder that dies loses its locks with it.
func mutex(ctx context.Context, client *clientv3.Client) error {
	name := prefix + "mutex"
	first, second, err := twoSessions(client)
	if err != nil {
		return err
	}
	defer first.Close()
	defer second.Close()

	held := concurrency.NewMutex(first, name)
	if err := held.Lock(ctx); err != nil {
		return err
	}
	fmt.Println("first holds it")
	waiting := concurrency.NewMutex(second, name)
	err = waiting.TryLock(ctx)
	fmt.Println("second is refused:", errors.Is(err, concurrency.ErrLocked))

	done := make(chan error, 1)
	go func() { done <- waiting.Lock(ctx) }()
	if err := held.Unlock(ctx); err != nil {
		return err
	}
	if err := <-done; err != nil {
		return err
	}
	// What the lock protects compares these numbers, to refuse a holder that was too slow to notice its end.
	fmt.Println("second holds it, its token grew:", waiting.Header().Revision > held.Header().Revision)

	// A write that fails if the lock was lost meanwhile.
	guarded, err := client.Txn(ctx).If(waiting.IsOwner()).Then(clientv3.OpPut(prefix+"guarded", "1")).Commit()
	if err != nil {
		return err
	}
	fmt.Println("written under the lock:", guarded.Succeeded)
	return waiting.Unlock(ctx)
}

// election: one leader at a time, whom everybody can ask for, and who follows when it resigns.
func election(ctx context.Context, client *clientv3.Client) error {
	name := prefix + "election"
	first, second, err := twoSessions(client)
	if err != nil {
		return err
	}
	defer first.Close()
	defer second.Close()

	leader := concurrency.NewElection(first, name)
	if err := leader.Campaign(ctx, "first"); err != nil {
		return err
	}
	if err := leader.Proclaim(ctx, "first, again"); err != nil {
		return err
	}
	now, err := leader.Leader(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("leader: %s\n", now.Kvs[0].Value)

	follower := concurrency.NewElection(second, name)
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	seen := follower.Observe(watching)
	fmt.Printf("observed: %s\n", (<-seen).Kvs[0].Value)

	done := make(chan error, 1)
	go func() { done <- follower.Campaign(ctx, "second") }()
	if err := leader.Resign(ctx); err != nil {
		return err
	}
	if err := <-done; err != nil {
		return err
	}
	for answer := range seen {
		if string(answer.Kvs[0].Value) == "second" {
			fmt.Println("observed: second")
			return follower.Resign(ctx)
		}
	}
	return errors.New("the observer was never told of the second leader")
}

func twoSessions(client *clientv3.Client) (first, second *concurrency.Session, err error) {
	if first, err = concurrency.NewSession(client, concurrency.WithTTL(30)); err != nil {
		return nil, nil, err
	}
	if second, err = concurrency.NewSession(client, concurrency.WithTTL(30)); err != nil {
		first.Close()
		return nil, nil, err
	}
	return first, second, nil
}
