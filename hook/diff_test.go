package hook

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/stanza"
)

// A diff has the words of job files: names, durations, and what is there without
// a value.
func TestDiff(t *testing.T) {
	before := parse(t, stanza.Job(stanza.Network+stanza.Web(stanza.Sidecar(""))+"shutdown_delay = \"0s\"\n"))
	result, err := Rewrite(before, Options{})
	must.NoError(t, err)
	diff, err := Diff("job", before, result.Job)
	must.NoError(t, err)
	must.Eq(t, unindent(`
		--- job
		+++ job after hook
		@@ -8,13 +8,39 @@
		         driver: raw_exec
		         config:
		           command: app
		+      - name: connect-proxy-web
		+        driver: connect
		+        lifecycle:
		+          hook: prestart
		+          sidecar: true
		+        config:
		+          node_meta:
		+            concurrency: ${meta.connect.proxy_concurrency}
		+            log_level: ${meta.connect.log_level}
		+          service: web
		+          sidecar_service:
		+            port: connect-proxy-web
		+            proxy:
		+              local_service_address: 127.0.0.1
		+        constraint:
		+          - attribute: ${attr.driver.connect.envoy.version}
		+            operator: is_set
		+          - attribute: ${attr.driver.connect.consul.version}
		+            operator: is_set
		+        resources:
		+          cpu: 250
		+          memory: 128
		+        kill_timeout: 10s
		+        logs:
		+          max_files: 2
		+          max_file_size: 2
		+        kind: connect-native:web
		     network:
		       - mode: host
		         port:
		           - label: http
		+          - label: connect-proxy-web
		     service:
		       - name: web
		         port: http
		-        connect:
		-          sidecar_service: {}
		     shutdown_delay: 0s
		`), diff)
	diff, err = Diff("job", result.Job, result.Job)
	must.NoError(t, err)
	must.Eq(t, "", diff)
}

// Numbers of a config of any shape stay as they are written.
func TestRewrite_numbers(t *testing.T) {
	job, err := Parse(Source{Body: []byte(`{"Job": {"ID": "a", "TaskGroups": [{"Name": "g", "Tasks": [{"Name": "t", "Config": {"n": 12345678901234567890, "f": 1.10}}]}]}}`)})
	must.NoError(t, err)
	result, err := Rewrite(job, Options{})
	must.NoError(t, err)
	text := encode(t, result.Job)
	must.StrContains(t, text, "12345678901234567890")
	must.StrContains(t, text, "1.10")
}
