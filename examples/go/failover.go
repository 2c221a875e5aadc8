package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// surviveAMember counts up in one key until its input ends, and 100 times more, while somebody kills a member.
//
// The client goes to another member by itself. What it does not do by itself is to repeat a write whose answer it
// never got, for that write may have happened: here each one names the revision it is based on, so that it can
// be repeated without harm.
func surviveAMember(client *clientv3.Client, input io.Reader) error {
	key := prefix + "failover"
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, input)
		close(ended)
	}()

	var count, revision int64
	if err := retry(func(ctx context.Context) error {
		_, err := client.Delete(ctx, key)
		return err
	}); err != nil {
		return err
	}
	fmt.Println("writing; kill a member, then end my input")
	for rest := 100; rest > 0; {
		next := strconv.FormatInt(count+1, 10)
		err := retry(func(ctx context.Context) error {
			answer, err := client.Txn(ctx).
				If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).
				Then(clientv3.OpPut(key, next)).
				Else(clientv3.OpGet(key)).
				Commit()
			if err != nil {
				return err
			}
			revision = answer.Header.Revision
			if !answer.Succeeded {
				// The attempt before was written, though its answer was lost.
				found := answer.Responses[0].GetResponseRange().Kvs
				if len(found) != 1 || string(found[0].Value) != next {
					return fmt.Errorf("an acknowledged write was lost: found %v after %d", found, count)
				}
				revision = found[0].ModRevision
			}
			return nil
		})
		if err != nil {
			return err
		}
		count++
		select {
		case <-ended:
			rest--
		case <-time.After(5 * time.Millisecond):
		}
	}

	var found string
	if err := retry(func(ctx context.Context) error {
		answer, err := client.Get(ctx, key)
		if err == nil && len(answer.Kvs) == 1 {
			found = string(answer.Kvs[0].Value)
		}
		return err
	}); err != nil {
		return err
	}
	if found != strconv.FormatInt(count, 10) {
		return fmt.Errorf("%d writes were acknowledged, and %q is there", count, found)
	}
	fmt.Println("every acknowledged write is there")
	return nil
}

// retry repeats an idempotent call that no member answered, for half a minute.
func retry(call func(context.Context) error) error {
	give := time.Now().Add(30 * time.Second)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		err := call(ctx)
		cancel()
		if err == nil {
			return nil
		}
		if !noAnswer(err) || time.Now().After(give) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// noAnswer tells whether the call may have ended for want of a member, rather than by a member's refusal.
func noAnswer(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded:
		return true
	}
	return errors.Is(err, context.DeadlineExceeded)
}
