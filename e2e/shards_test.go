package e2e

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

var (
	shards = flag.Int("shards", 1, "in how many processes the tests run at a time; 0 for as many as the machine is good for")
	shard  = flag.String("shard", "", `run a part of the tests only: "1/2" for the first of two`)
)

// shardTests are the tests of all shards but the last, which runs whatever is not
// here. Those that count failed connections stay together: they want it quiet.
var shardTests = [][]string{{
	"TestCalculator", "TestCount", "TestCrash_twice", "TestFaults", "TestHotRestart",
	"TestHostile_closed", "TestHostile_open",
	"TestInPlace", "TestInPlace_promotion", "TestInPlace_weights", "TestInterrupted",
	"TestNative", "TestNative_gateway", "TestNodeDrain", "TestReboot", "TestSoak",
}}

// processorsPerShard are what a cluster under load keeps busy at times.
const processorsPerShard = 3

// shardCount is 1 when tests were chosen by hand.
func shardCount() int {
	if chosen := flag.Lookup("test.run").Value.String(); chosen != "" || *shard != "" {
		return 1
	}
	most := len(shardTests) + 1
	return min(cmp.Or(*shards, max(1, runtime.GOMAXPROCS(0)/processorsPerShard)), most)
}

// chooseTests has this process run those of its shard.
func chooseTests() error {
	if *shard == "" {
		return nil
	}
	var nth, of int
	if _, err := fmt.Sscanf(*shard, "%d/%d", &nth, &of); err != nil || nth < 1 || nth > of || of > len(shardTests)+1 {
		return fmt.Errorf("-shard is like 1/%d, and not %s", len(shardTests)+1, *shard)
	}
	run, skip := flag.Lookup("test.run").Value, flag.Lookup("test.skip").Value
	if run.String() != "" {
		return errors.New("-run and -shard each choose tests; give one of them")
	}
	if nth < of {
		return run.Set(oneOf(shardTests[nth-1]))
	}
	others := oneOf(slices.Concat(shardTests[:of-1]...))
	if skip.String() != "" {
		others = skip.String() + "|" + others
	}
	return skip.Set(others)
}

// oneOf is the pattern of tests by their names.
func oneOf(tests []string) string { return "^(" + strings.Join(tests, "|") + ")$" }

// runShards runs so many at a time, and gives the worst of their exit statuses. What
// each of several has printed is shown as a whole, when it has ended.
func runShards(ctx context.Context, count int) (status int) {
	if count == 1 {
		return startShard(ctx, "", os.Stdout, os.Stderr).wait()
	}
	var all []*shardProcess
	for nth := range count {
		name := fmt.Sprintf("%d/%d", nth+1, count)
		out, err := os.CreateTemp("", "shard-")
		if err != nil {
			fmt.Fprintln(os.Stderr, "e2e: keep what a shard prints:", err)
			status = 1
			break
		}
		_ = os.Remove(out.Name()) // it is there for as long as it is open
		defer func() { _ = out.Close() }()
		all = append(all, startShard(ctx, name, out, out))
	}
	for _, s := range all {
		ended := s.wait()
		fmt.Printf("==> shard %s: exit status %d after %s\n", s.name, ended, s.took.Round(time.Second))
		if err := s.show(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e: show what a shard has printed:", err)
		}
		status = max(status, ended)
	}
	return status
}

// shardProcess runs the tests of a shard, or all of them when it has no name.
type shardProcess struct {
	name string
	cmd  *exec.Cmd
	out  *os.File // what it prints
	err  error    // why it was not started

	done chan struct{} // closed when it has ended
	took time.Duration // until then
}

// startShard starts this program again, in namespaces of its own. When ctx ends it is
// told to clean up.
func startShard(ctx context.Context, name string, stdout, stderr *os.File) *shardProcess {
	args := os.Args[1:]
	if name != "" {
		args = slices.Concat([]string{"-shard=" + name}, args)
	}
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	s := &shardProcess{name: name, cmd: cmd, out: stdout, done: make(chan struct{})}
	began := time.Now()
	s.err = cmd.Start()
	go func() {
		defer close(s.done)
		_ = cmd.Wait()
		s.took = time.Since(began)
	}()
	return s
}

// wait gives the exit status, which is 0 only when all tests have passed.
func (s *shardProcess) wait() int {
	if s.err != nil {
		fmt.Fprintln(os.Stderr, "e2e: make namespaces:", s.err)
		return 1
	}
	<-s.done
	if status := s.cmd.ProcessState.ExitCode(); status >= 0 {
		return status
	}
	fmt.Fprintln(os.Stderr, "e2e: the tests were ended:", s.cmd.ProcessState)
	return 1
}

// show prints what the process has printed.
func (s *shardProcess) show() error {
	if _, err := s.out.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := io.Copy(os.Stdout, s.out)
	return err
}
