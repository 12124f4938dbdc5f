package fake

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"
)

// KeepDefinitions has the agent keep those of the checks to come in a data directory,
// which it gives. Without one it has none, as an agent in dev mode.
func (c *Consul) KeepDefinitions(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	must.NoError(t, os.Mkdir(filepath.Join(dir, "checks"), 0o700))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dataDir = dir
	return dir
}

// keptCheck is how the agent writes a definition: with times in nanoseconds.
type keptCheck struct {
	*api.AgentServiceCheck

	Interval, Timeout, TTL, DeregisterCriticalServiceAfter time.Duration
}

func (c *Consul) keepDefinition(id string, d *api.AgentServiceCheck) {
	if c.dataDir == "" {
		return
	}
	kept := keptCheck{AgentServiceCheck: d}
	kept.Interval, _ = time.ParseDuration(d.Interval)
	kept.Timeout, _ = time.ParseDuration(d.Timeout)
	text, err := json.Marshal(map[string]any{"ChkType": kept, "Token": "of the check"})
	if err == nil {
		hash := sha256.Sum256([]byte(id))
		err = os.WriteFile(filepath.Join(c.dataDir, "checks", hex.EncodeToString(hash[:])), text, 0o600)
	}
	if err != nil {
		panic(err) // the directory is the test's own
	}
}
