package envoy

import (
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// Lines that Envoys of 1.36 and 1.40 wrote, shortened.
const (
	refusedLog = `[2026-11-28 08:57:09.205][9477][warning][upstream] [source/common/upstream/cds_api_helper.cc:58] cds: cluster 'bad' config rejected: must have a single lb_endpoint
[2026-11-28 08:57:09.207][9477][warning][config] [source/x/delta_subscription_state.cc:269] delta config for type.googleapis.com/envoy.config.cluster.v3.Cluster rejected: Error adding/updating cluster(s) bad: must have a single lb_endpoint
[2026-11-28 08:57:09.209][9477][error][config] [source/common/listener_manager/listener_manager_impl.cc:1405] listener 'l' failed to bind or apply socket options: cannot bind '192.0.2.1:1'
[2026-11-28 08:57:09.211][9477][warning][config] [source/x/delta_subscription_state.cc:269] delta config for type.googleapis.com/envoy.config.listener.v3.Listener rejected: Error adding/updating listener(s) l: cannot bind '192.0.2.1:1'
[2026-11-28 08:57:12.080][9477][warning][main] [source/server/server.cc:1028] caught ENVOY_SIGTERM
`
	unparsableLog = "[2026-11-28 08:57:12.275][10413][critical][main] [source/server/server.cc:453] error `Unable to parse JSON as proto (near 1:9): {\"node\":1, \"token\": \"secret\"}\n` initializing config '  bad.json'\nUnable to parse JSON as proto: {\"node\":1}\n"
	crashedLog    = `[2026-11-28 08:57:12.275][7][error][main] [x.cc:1] an earlier one
[2026-11-28 08:57:13.275][9][critical][backtrace] [./source/server/backtrace.h:129] Caught Segmentation fault, suspect faulting address 0x0
[2026-11-28 08:57:13.276][9][critical][backtrace] [./source/server/backtrace.h:113] Backtrace (use tools/stack_decode.py to get line numbers):
[2026-11-28 08:57:13.276][9][critical][backtrace] [./source/server/backtrace.h:121] #0: [0x55]
`
)

func logTime(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.ParseInLocation(time.DateTime, text, time.Local)
	must.NoError(t, err)
	return at
}

func TestLastComplaint(t *testing.T) {
	t.Parallel()
	since := logTime(t, "2026-11-28 08:57:00")
	for _, tc := range []struct{ name, log, want string }{
		{"nothing", "", ""},
		{"refused", refusedLog, "listener 'l' failed to bind or apply socket options: cannot bind '192.0.2.1:1'"},
		{"without the bootstrap", unparsableLog, "error `Unable to parse JSON as proto (near 1:9)"},
		{"crashed", crashedLog, "Caught Segmentation fault, suspect faulting address 0x0"},
		{"another format", `{"level":"error","message":"x"}`, ""},
		{"cut in the middle", refusedLog[20:150], ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			must.Eq(t, tc.want, lastComplaint([]byte(tc.log), since))
		})
	}
	must.Eq(t, "", lastComplaint([]byte(crashedLog), logTime(t, "2026-11-28 08:57:14")), must.Sprint("it is too old"))
	long := "[2026-11-28 08:57:12.275][7][error][main] [x.cc:1] " + strings.Repeat("x", 1000)
	must.Eq(t, strings.Repeat("x", 300)+"…", lastComplaint([]byte(long), since))
}

func TestLoggedRefusal(t *testing.T) {
	t.Parallel()
	must.Eq(t, "bad: must have a single lb_endpoint", loggedRefusal([]byte(refusedLog), "cluster"))
	must.Eq(t, "l: cannot bind '192.0.2.1:1'", loggedRefusal([]byte(refusedLog), "listener"))
	must.Eq(t, "", loggedRefusal([]byte(crashedLog), "cluster"))
	invalid := "[2026-11-28 08:57:09.207][1][warning][config] [x.cc:1] gRPC config for type.googleapis.com/envoy.config.cluster.v3.Cluster rejected: Proto constraint validation failed (x)"
	must.Eq(t, "Proto constraint validation failed (x)", loggedRefusal([]byte(invalid), "cluster"))
}
