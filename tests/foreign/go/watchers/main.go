// Writes a counter and says when each write was acknowledged, and when each of a number of watchers was told of it, in nanoseconds
// of CLOCK_MONOTONIC, which other processes of the host read too. For php-ext/bench/visible.php.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

func main() {
	endpoint := flag.String("endpoint", "", "address of a member")
	key := flag.String("key", "counter", "the key that is written")
	puts := flag.Int("puts", 100, "number of writes")
	pause := flag.Duration("pause", 10*time.Millisecond, "time between an answer and the next write")
	watchers := flag.Int("watchers", 0, "watchers, each on a connection of its own")
	onlyWatch := flag.Bool("only-watch", false, "write nothing: say \"ready\" and watch what another process writes")
	flag.Parse()
	if err := run(*endpoint, *key, *puts, *pause, *watchers, *onlyWatch); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err)
	}
	return t.Nano()
}

func connect(endpoint string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
}

func run(endpoint, key string, puts int, pause time.Duration, watchers int, onlyWatch bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	seen := make([][]int64, watchers)
	var created, ended sync.WaitGroup
	for i := range seen {
		client, err := connect(endpoint)
		if err != nil {
			return err
		}
		defer client.Close()
		seen[i] = make([]int64, puts)
		created.Add(1)
		ended.Add(1)
		go func() {
			defer ended.Done()
			watch(ctx, client, key, &created, seen[i])
		}()
	}
	created.Wait()
	if onlyWatch {
		fmt.Println("ready")
	} else if err := write(ctx, endpoint, key, puts, pause); err != nil {
		return err
	}
	ended.Wait()
	for _, times := range seen {
		for n, at := range times {
			fmt.Println("seen", n, at)
		}
	}
	return ctx.Err()
}

func write(ctx context.Context, endpoint, key string, puts int, pause time.Duration) error {
	client, err := connect(endpoint)
	if err != nil {
		return err
	}
	defer client.Close()
	acknowledged := make([]int64, puts)
	for n := range acknowledged {
		if _, err := client.Put(ctx, key, strconv.Itoa(n)); err != nil {
			return err
		}
		acknowledged[n] = now()
		time.Sleep(pause)
	}
	for n, at := range acknowledged {
		fmt.Println("put", n, at)
	}
	return nil
}

// watch notes when each value arrived, and ends with the last.
func watch(ctx context.Context, client *clientv3.Client, key string, created *sync.WaitGroup, seen []int64) {
	for response := range client.Watch(ctx, key, clientv3.WithCreatedNotify()) {
		at := now()
		if response.Created {
			created.Done()
		}
		for _, event := range response.Events {
			n, err := strconv.Atoi(string(event.Kv.Value))
			if err != nil || n >= len(seen) {
				continue
			}
			seen[n] = at
			if n == len(seen)-1 {
				return
			}
		}
	}
}
