package driver

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"
)

// The end of the newest file is read, and nothing else that other tasks could have put
// in its place.
func TestLogTail(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "logs")
	tail := func() string { return string(logTail(root, dir, "proxy.stderr.")) }
	must.Eq(t, "", tail())
	must.NoError(t, os.Mkdir(dir, 0o755))
	must.Eq(t, "", tail())
	for name, content := range map[string]string{
		"proxy.stderr.9": "old", "proxy.stderr.10": strings.Repeat("x", maxLogTail) + "end",
		"proxy.stderr.x": "none", "proxy.stdout.11": "another", "proxy2.stderr.12": "another's",
	} {
		must.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	must.Eq(t, strings.Repeat("x", maxLogTail-3)+"end", tail())

	for _, put := range []func(path string) error{
		func(path string) error { return os.Symlink("/etc/passwd", path) },
		func(path string) error { return syscall.Mkfifo(path, 0o600) },
		func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		path := filepath.Join(dir, "proxy.stderr.11")
		must.NoError(t, put(path))
		must.Eq(t, "", tail())
		must.NoError(t, os.Remove(path))
	}
}

// The command works as it stands there, for a job of another namespace, too.
func TestProxy_logCommand(t *testing.T) {
	t.Parallel()
	x := &proxy{config: &drivers.TaskConfig{Name: "proxy", AllocID: "0123456789", AllocDir: t.TempDir()}}
	const where = "01234567 alloc/logs/proxy.stderr.0"
	must.Eq(t, "nomad alloc fs "+where, x.logCommand())
	x.config.Namespace = "default"
	must.Eq(t, "nomad alloc fs "+where, x.logCommand())
	x.config.Namespace = "team"
	must.Eq(t, "nomad alloc fs -namespace team "+where, x.logCommand())
}
