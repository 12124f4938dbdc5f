package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

var (
	soak     = flag.Duration("soak", 20*time.Second, "how long random faults are done to a mesh")
	soakSeed = flag.Uint64("soak-seed", 1, "which faults those are, in which order")
)

// growth is what would grow if something were left behind.
type growth struct {
	goroutines int // of the driver's own code
	files      int // that the plugin has open
	envoys     int
}

// spareFiles are connections to the Consul agent that wait to be used again: how many
// there are changes all the time.
const spareFiles = 4

// grown settles the mesh, and counts. The plugin is replaced by another on the way.
func (s *shop) grown(t *testing.T) growth {
	t.Helper()
	s.deployed(t)
	awaitNoStandIns(t)
	plugin := s.Plugins()
	must.Len(t, 1, plugin)
	g := growth{files: idleFiles(t, plugin[0], 0), envoys: len(s.Processes("envoy"))}
	dump := goroutines(t, s.Nomad.Log, plugin[0])
	g.goroutines = strings.Count(dump, "created by nomad-driver-connect/")
	s.obeys(t)
	return g
}

// awaitNoStandIns waits until the plugin has nothing more to say in the place of
// Envoys that have left.
func awaitNoStandIns(t *testing.T) {
	t.Helper()
	eventually(t, 30*time.Second, func(context.Context) error {
		sockets, err := os.ReadFile("/proc/net/unix")
		if err == nil && strings.Contains(string(sockets), "/proc/self/fd/") { // by which the plugin reaches them
			err = errors.New("the plugin still stands in for an Envoy")
		}
		return err
	})
}

// Random faults, one after the other, lose no more than each of them may, and
// leave nothing behind.
func TestSoak(t *testing.T) {
	s := runShop(t)
	before := s.grown(t)
	all := slices.Concat(faults, hotRestartFaults, interruptions)
	random := rand.New(rand.NewPCG(*soakSeed, 0))
	for n, start := 1, time.Now(); time.Since(start) < *soak; n++ {
		f := all[random.IntN(len(all))]
		if !t.Run(fmt.Sprintf("%d %s", n, f.name), func(t *testing.T) {
			s.sufferOne(t, f, fmt.Sprintf("soak %d, %d: %s", *soakSeed, n, f.name))
		}) {
			return // what follows would tell of this one
		}
	}
	after := s.grown(t)
	must.LessEq(t, before.goroutines, after.goroutines)
	must.LessEq(t, before.files+spareFiles, after.files)
	must.Eq(t, before.envoys, after.envoys)
	must.NoError(t, s.PurgeJobs(t.Context()))
	nothingLeft(t, s.Cluster)
}
