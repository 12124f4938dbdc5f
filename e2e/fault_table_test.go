package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

var faultTable = flag.String("faults", "", "a file that gets a row for each fault: what failed")

// loadRate is in new connections a second.
const loadRate = 200

// underLoad does something to a mesh while connections are opened, adds a row to
// the table of the faults, and fails when connections failed for longer than
// that; 0 allows not one.
func underLoad(t *testing.T, ask agents.Ask, name string, within time.Duration, do func()) {
	t.Helper()
	report := measured(t, ask, loadRate, name, do)
	if within == 0 {
		must.Eq(t, 0, report.Failed, must.Sprintf("%s; first: %v", report, report.FirstFailure))
	}
	must.LessEq(t, within, report.FailedFor, must.Sprintf("%s; first: %v", report, report.FirstFailure))
}

// underCrash has an Envoy die while connections are opened, adds a row to the table of
// the faults, and fails when one failed that began after that moment, or waited long.
// Those that were open are cut: their state has died with the Envoy.
func underCrash(t *testing.T, ask agents.Ask, name string, crash func() (at time.Time)) {
	t.Helper()
	var at time.Time
	report := measured(t, ask, loadRate, name, func() { at = crash() })
	must.False(t, report.LastFailure.After(at), must.Sprintf("one began %s after the crash and failed: %s; first: %v", report.LastFailure.Sub(at), report, report.FirstFailure))
	must.LessEq(t, longestWait, report.LongestWait, must.Sprint(report))
}

// longestWait is how long a connection may wait that is made while an Envoy is dead.
const longestWait = 600 * time.Millisecond

// measured does something while connections are opened, adds a row to the table of
// the faults, and gives what became of them.
func measured(t *testing.T, ask agents.Ask, rate int, name string, do func()) (report agents.LoadReport) {
	t.Helper()
	load := agents.StartLoad(t.Context(), ask, rate)
	func() {
		defer func() { report = load.Stop() }() // also when do has failed the test
		do()
	}()
	must.NoError(t, addRow(name, report))
	return report
}

// addRow adds to what other tests have written.
func addRow(name string, report agents.LoadReport) error {
	if *faultTable == "" {
		return nil
	}
	file, err := os.OpenFile(*faultTable, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "%-45s %s\n", name, report)
	return errors.Join(err, file.Close())
}
