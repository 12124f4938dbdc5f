package consul

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/consul/api"
)

// Definition is how the agent runs a check.
type Definition struct {
	Type     string // "tcp", "http", "grpc", "ttl" …
	Interval time.Duration
	Target   *Target // nil when the agent does not tell
}

// Target is what a check asks of whom.
type Target struct {
	TCP       string // "host:port"
	TCPUseTLS bool

	HTTP             string // the URL
	Method           string
	Header           map[string][]string
	Body             string
	DisableRedirects bool

	GRPC       string // "host:port" or "host:port/service"
	GRPCUseTLS bool

	TLSServerName string
	TLSSkipVerify bool
	Timeout       time.Duration

	SuccessBeforePassing int // more runs than one are needed when it is positive
}

// Definitions gives those of a service's checks by their IDs. The agent's API tells
// the type and the interval; what is asked of whom lies in its data directory alone,
// and is read there when the agent tells us where that is (agent:read) and it is this
// machine's. An error beside what was found says why it could not be.
func (c *Client) Definitions(ctx context.Context, serviceID string) (map[string]Definition, error) {
	type told struct{ Type, Interval string }
	found, err := ask(ctx, c, func(q *api.QueryOptions) (found map[string]told, err error) {
		q.Filter = fmt.Sprintf("ServiceID == %q", serviceID)
		_, err = c.client.Raw().Query("/v1/agent/checks", &found, q)
		return found, err
	})
	if err != nil {
		return nil, c.unreachable("ask for the checks of "+serviceID, err)
	}
	dir := c.dataDir(ctx)
	all := make(map[string]Definition, len(found))
	var unread error
	for id, check := range found {
		interval, _ := time.ParseDuration(check.Interval) // empty for a check that the agent does not run
		target, err := readTarget(dir, id)
		if err != nil {
			unread = fmt.Errorf("read how the Consul agent runs the check %s: %w; may the plugin read the agent's data directory?", id, err)
		}
		all[id] = Definition{Type: check.Type, Interval: interval, Target: target}
	}
	return all, unread
}

// mostDefinition is how much of a definition is read.
const mostDefinition = 1 << 20

// dataDir is where the agent keeps what it knows; empty when it does not tell.
func (c *Client) dataDir(ctx context.Context) string {
	self, err := c.Self(ctx)
	if err != nil {
		return ""
	}
	return self.DebugConfig.DataDir
}

// readTarget reads what the agent keeps of a check for its own next start; nil for
// nothing. The token that lies beside is not looked at.
func readTarget(dataDir, checkID string) (*Target, error) {
	if dataDir == "" {
		return nil, nil
	}
	hash := sha256.Sum256([]byte(checkID))
	file, err := os.Open(filepath.Join(dataDir, "checks", hex.EncodeToString(hash[:])))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var kept struct{ ChkType *Target }
	if err := json.NewDecoder(io.LimitReader(file, mostDefinition)).Decode(&kept); err != nil {
		return nil, err
	}
	return kept.ChkType, nil
}
