package consul

import (
	"encoding/json"
	"testing"

	"github.com/shoenig/test/must"
)

func TestSelf_restartLoss(t *testing.T) {
	for _, tc := range []struct{ name, self, want string }{
		{"new server", `{"Config":{"Server":true},"Stats":{"raft":{"last_snapshot_index":"0"}}}`, noSnapshotLoss},
		{"server", `{"Config":{"Server":true},"Stats":{"raft":{"last_snapshot_index":"16390"}}}`, ""},
		{"server that leaves, of others", `{"Config":{"Server":true},"DebugConfig":{"LeaveOnTerm":true},"Stats":{"raft":{"last_snapshot_index":"16390"}}}`, ""},
		{"dev mode", `{"Config":{"Server":true},"DebugConfig":{"DevMode":true},"Stats":{"raft":{"last_snapshot_index":"0"}}}`, ""},
		{"client", `{"Config":{"Server":false},"Stats":{}}`, ""},
		{"client that leaves", `{"Config":{"Server":false},"DebugConfig":{"LeaveOnTerm":true}}`, leavingLoss},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var self Self
			must.NoError(t, json.Unmarshal([]byte(tc.self), &self))
			must.Eq(t, tc.want, self.restartLoss())
		})
	}
}
