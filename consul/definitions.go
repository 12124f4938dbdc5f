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
	"syscall"
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

	SuccessBeforePassing int // how many runs in a row must be well; 0 is as good as 1
}

// Definitions gives those of a service's checks by their IDs. The agent's API tells
// the type and the interval; what is asked of whom lies in its data directory alone,
// and is read there; empty for none. An error beside what was found says why it could
// not be.
func (c *Client) Definitions(ctx context.Context, serviceID, dataDir string) (map[string]Definition, error) {
	type told struct{ Type, Interval string }
	found, err := ask(ctx, c, func(q *api.QueryOptions) (found map[string]told, err error) {
		q.Filter = fmt.Sprintf("ServiceID == %q", serviceID)
		_, err = c.client.Raw().Query("/v1/agent/checks", &found, q)
		return found, err
	})
	if err != nil {
		return nil, c.unreachable("ask for the checks of "+serviceID, err)
	}
	all := make(map[string]Definition, len(found))
	var unread error
	for id, check := range found {
		interval, _ := time.ParseDuration(check.Interval) // empty for a check that the agent does not run
		target, err := readTarget(dataDir, id)
		if err != nil {
			unread = fmt.Errorf("read how the Consul agent runs the check %s: %w", id, err)
		}
		all[id] = Definition{Type: check.Type, Interval: interval, Target: target}
	}
	return all, unread
}

// readTarget reads what the agent keeps of a check for its own next start; nil for
// nothing. The token that lies beside is not looked at.
func readTarget(dataDir, checkID string) (*Target, error) {
	if dataDir == "" {
		return nil, nil
	}
	hash := sha256.Sum256([]byte(checkID))
	path := filepath.Join(dataDir, "checks", hex.EncodeToString(hash[:]))
	text, err := readKept(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w; the plugin must be able to read the agent's data directory", err)
	}
	var kept struct{ ChkType *Target }
	if json.Unmarshal(text, &kept) != nil { // whose error would show a part of the file, which holds a token
		return nil, fmt.Errorf("%s is not written as Consul 1.22 writes it", path)
	}
	return kept.ChkType, nil
}

// mostKept is how large such a file may be.
const mostKept = 1 << 20

// readKept reads a file of the agent's. Whatever else may be in its place does not hold
// us up.
func readKept(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(file, mostKept+1))
	if err == nil && len(text) > mostKept {
		err = fmt.Errorf("%s is larger than %d bytes", path, mostKept)
	}
	return text, err
}
