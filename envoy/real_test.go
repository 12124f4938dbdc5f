package envoy

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

var realEnvoys = flag.String("envoys", "", "real Envoys to test with, their paths separated by commas")

// forRealEnvoys runs a test with each of the real ones.
func forRealEnvoys(t *testing.T, test func(t *testing.T, path string)) {
	if *realEnvoys == "" {
		t.Skip("it needs real Envoys (make test names them)")
	}
	for path := range strings.SplitSeq(*realEnvoys, ",") {
		t.Run(filepath.Base(path), func(t *testing.T) { test(t, path) })
	}
}

// generations are those of one real Envoy, with static listeners.
type generations struct {
	t    testing.TB
	path string
	dir  string
	base uint32
	user process.User

	confine     Confine
	concurrency int
	tcp, tcp6   string // where its listeners are
	raw         string // one that proxies TCP to the app
	app         net.Listener
}

// run is where they run.
func (g *generations) run() sidecar.Run { return sidecar.Run{Root: g.dir, Dir: g.dir, User: g.user} }

func newGenerations(t testing.TB, path string, concurrency int) *generations {
	t.Helper()
	g := &generations{t: t, path: path, dir: t.TempDir(), confine: ConfineRequired, concurrency: concurrency}
	if os.Geteuid() == 0 {
		g.user = process.User{Name: "envoy", UID: 81009, GID: 81009, Switch: true}
		must.NoError(t, os.Chown(g.dir, int(g.user.UID), int(g.user.GID)))
	}
	g.tcp, g.tcp6, g.raw = freeAddress(t, "127.66.1.1"), freeAddress(t, "::"), freeAddress(t, "127.66.1.2")
	var err error
	g.base, err = ClaimSharedMemory(g.run())
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, RemoveSharedMemory(g.dir, g.user)) })
	g.app, err = net.Listen("tcp", "127.66.1.3:0")
	must.NoError(t, err)
	t.Cleanup(func() { _ = g.app.Close() })
	go echo(g.app)
	return g
}

func freeAddress(t testing.TB, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	must.NoError(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func echo(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(conn, conn); _ = conn.Close() }()
	}
}

func (g *generations) bootstrap() []byte {
	at := func(address string) string {
		host, port, err := net.SplitHostPort(address)
		must.NoError(g.t, err)
		return fmt.Sprintf(`{"socket_address": {"address": %q, "port_value": %s}}`, host, port)
	}
	listener := func(name, address, filter string) string {
		return fmt.Sprintf(`{"name": %q, "address": %s, "filter_chains": [{"filters": [%s]}]}`, name, address, filter)
	}
	http := `{"name": "envoy.filters.network.http_connection_manager", "typed_config": {
		"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "x",
		"http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
		"route_config": {"virtual_hosts": [{"name": "x", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]}]}}}`
	raw := `{"name": "envoy.filters.network.tcp_proxy", "typed_config": {
		"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "x", "cluster": "app"}}`
	return fmt.Appendf(nil, `{"admin": {"address": {"pipe": {"path": "admin.sock"}}}, "node": {"id": "x", "cluster": "x"}, "static_resources": {"listeners": [%s, %s, %s, %s],
		"clusters": [{"name": "app", "type": "STATIC", "load_assignment": {"cluster_name": "app", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": %s}}]}]}}]}}`,
		listener("http", at(g.tcp), http), listener("http6", at(g.tcp6), http), listener("raw", at(g.raw), raw), listener("local", `{"pipe": {"path": "local.sock"}}`, http),
		at(g.app.Addr().String()))
}

// start starts the generation of an epoch.
func (g *generations) start(epoch int) *process.Process {
	g.t.Helper()
	if epoch > 0 {
		must.NoError(g.t, sharedMemoryOf(g.base).ClearInitializing(g.run().User))
		must.NoError(g.t, awaitParent(g.run(), g.base, epoch-1))
	}
	file, err := secretFile("bootstrap.json", g.bootstrap(), g.user)
	must.NoError(g.t, err)
	defer func() { _ = file.Close() }()
	dir, err := os.Open(g.dir)
	must.NoError(g.t, err)
	defer func() { _ = dir.Close() }()
	log, err := os.OpenFile(filepath.Join(g.dir, fmt.Sprintf("log.%d", epoch)), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	must.NoError(g.t, err)
	defer func() { _ = log.Close() }()
	program := program{World: World{Run: sidecar.Run{Dir: g.dir, User: g.user, Stdout: log.Name(), Stderr: log.Name()}}}
	args := Options{BaseID: g.base, Epoch: epoch, LogLevel: "warning", Concurrency: g.concurrency, DrainTimeout: 600 * time.Second}.Args()
	p, err := process.Start(process.Launch{Path: g.path, Args: args, Dir: dir, Files: []*os.File{nil, log, log, file}, User: g.user,
		Confinement: confined(g.t, program, g.confine, g.bootstrap())})
	must.NoError(g.t, err)
	g.t.Cleanup(func() {
		_ = p.KillGroup()
		<-p.Done()
		if g.t.Failed() {
			text, _ := os.ReadFile(log.Name())
			g.t.Logf("generation %d:\n%s", epoch, text)
		}
	})
	return p
}

func confined(t testing.TB, p program, confine Confine, content []byte) *process.Confinement {
	t.Helper()
	c, err := p.confine(Settings{Confine: confine}, bootstrapFiles(content))
	must.NoError(t, err)
	return c
}

func (g *generations) admin() *Admin {
	return NewAdmin(bootstrap.AdminAddress{Network: "unix", Address: adminSocket}, g.run())
}

// ready waits until the generation of an epoch has the listeners.
func (g *generations) ready(epoch int) {
	g.t.Helper()
	admin := g.admin()
	eventually(g.t, func() bool {
		p, err := admin.Progress(g.t.Context())
		return err == nil && p.State == "LIVE" && p.TookOver(epoch)
	})
}

// listeners takes those that carry traffic.
func (g *generations) listeners(p *process.Process) []process.Listener {
	g.t.Helper()
	all, err := p.Listeners()
	must.NoError(g.t, err)
	traffic := g.admin().Listeners(g.t.Context())
	must.Len(g.t, 4, traffic)
	return slices.DeleteFunc(all, func(l process.Listener) bool {
		wanted := slices.Contains(traffic, sidecar.Address{Network: l.Network, Address: l.Address})
		if !wanted {
			must.NoError(g.t, l.File.Close())
		}
		return !wanted
	})
}

// standIn answers in the place of a generation; done is closed when it was told to end.
func (g *generations) standIn(epoch int, kept []process.Listener) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		if err := StandIn(g.t.Context(), g.run(), g.base, epoch, kept); err != nil {
			g.t.Error(err)
		}
	}()
	return done
}

// load makes new connections, and asks each one something, until it is stopped.
type load struct {
	network, address string

	cancel context.CancelFunc
	all    sync.WaitGroup

	mu      sync.Mutex
	asked   int
	began   time.Time // of those that count
	failed  []string  // of connections that began since
	longest time.Duration
}

func startLoad(t testing.TB, network, address string, every time.Duration) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{network: network, address: address, cancel: cancel, began: time.Now()}
	l.all.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				l.all.Go(func() { l.ask() })
			}
		}
	})
	t.Cleanup(l.stop)
	return l
}

func (l *load) ask() {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, l.network, l.address)
		}}}
	began := time.Now()
	resp, err := client.Get("http://x/")
	took := time.Since(began)
	if err == nil {
		_ = resp.Body.Close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if began.Before(l.began) {
		return
	}
	l.asked++
	l.longest = max(l.longest, took)
	if err != nil {
		l.failed = append(l.failed, err.Error())
	}
}

// mark forgets what there was: those that begin from now on count.
func (l *load) mark() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.began, l.asked, l.failed, l.longest = time.Now(), 0, nil, 0
}

// result is what became of those that count.
func (l *load) result() (asked int, failed []string, longest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked, slices.Clone(l.failed), l.longest
}

func (l *load) stop() {
	l.cancel()
	l.all.Wait()
}

// An Envoy that is killed under load refuses nobody who comes then: the next generation
// gets its sockets, and with them who waits there.
func TestReal_crash(t *testing.T) {
	forRealEnvoys(t, func(t *testing.T, path string) {
		for _, concurrency := range []int{1, 2} {
			t.Run(fmt.Sprint(concurrency), func(t *testing.T) {
				g := newGenerations(t, path, concurrency)
				loads := g.loads()
				p := g.start(0)
				g.ready(0)
				for epoch := range 5 {
					kept := g.listeners(p)
					must.Len(t, 3*concurrency+1, kept)
					must.NoError(t, p.Signal(syscall.SIGKILL))
					<-p.Done()
					for _, l := range loads {
						l.mark()
					}
					g.standIn(epoch, kept)
					p = g.start(epoch + 1)
					g.ready(epoch + 1)
					closeKept(t, kept)
					for _, l := range loads {
						l.refusesNobody(t)
					}
				}
			})
		}
	})
}

// An Envoy that is killed while it takes over leaves the sockets to the next, and with
// them who waits there: whom it had accepted has gone with it, so it is not killed then.
func TestReal_crashAgain(t *testing.T) {
	forRealEnvoys(t, func(t *testing.T, path string) {
		g := newGenerations(t, path, 2)
		loads := g.loads()
		p := g.start(0)
		g.ready(0)
		kept := g.listeners(p)
		must.NoError(t, p.KillGroup())
		<-p.Done()
		for _, l := range loads {
			l.mark()
		}
		const last = 8
		epoch := 0
		for lives := false; !lives; {
			epoch++
			g.standIn(epoch-1, kept)
			p := g.start(epoch)
			<-time.After(time.Duration(epoch) * 8 * time.Millisecond) // a start takes some 60
			if lives = epoch == last || g.accepts(p); !lives {
				must.NoError(t, p.KillGroup())
				<-p.Done()
			}
		}
		must.Greater(t, 2, epoch)
		g.ready(epoch)
		closeKept(t, kept)
		for _, l := range loads {
			l.refusesNobody(t)
		}
	})
}

// accepts tells whether a generation has accepted connections. It leaves one that has none stopped.
func (g *generations) accepts(p *process.Process) bool {
	g.t.Helper()
	must.NoError(g.t, p.Signal(syscall.SIGSTOP))
	eventually(g.t, func() bool { return hasStopped(g.t, p.ID.PID) })
	held, err := p.Held([]netip.AddrPort{netip.MustParseAddrPort(g.tcp), netip.MustParseAddrPort(g.tcp6)})
	must.NoError(g.t, err)
	if held > 0 {
		must.NoError(g.t, p.Signal(syscall.SIGCONT))
	}
	return held > 0
}

// hasStopped tells whether each thread of a process has: a busy machine lets some run on.
func hasStopped(t testing.TB, pid int) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	must.NoError(t, err)
	return !slices.ContainsFunc(threads, func(path string) bool {
		status, err := os.ReadFile(path)
		return err == nil && !strings.Contains(string(status), "State:\tT")
	})
}

func closeKept(t *testing.T, kept []process.Listener) {
	t.Helper()
	for _, l := range kept {
		must.NoError(t, l.File.Close())
	}
}

// loads are on all listeners.
func (g *generations) loads() []*load {
	return []*load{
		startLoad(g.t, "tcp", g.tcp, 5*time.Millisecond),
		startLoad(g.t, "tcp6", strings.Replace(g.tcp6, "::", "::1", 1), 20*time.Millisecond),
		startLoad(g.t, "unix", filepath.Join(g.dir, "local.sock"), 20*time.Millisecond),
	}
}

// refusesNobody says so of those that have come since the mark, and how long they waited.
func (l *load) refusesNobody(t *testing.T) {
	t.Helper()
	eventually(t, func() bool { asked, _, _ := l.result(); return asked > 50 })
	asked, failed, longest := l.result()
	must.SliceEmpty(t, failed, must.Sprint(failed))
	t.Logf("%s: %d asked, longest wait %s", l.address, asked, longest)
}

// stream is a connection through a generation that stays open.
func (g *generations) stream() net.Conn {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.raw)
	must.NoError(g.t, err)
	g.t.Cleanup(func() { _ = conn.Close() })
	echoes(g.t, conn)
	return conn
}

func echoes(t testing.TB, conn net.Conn) {
	t.Helper()
	must.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err := io.WriteString(conn, "hello")
	must.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 5))
	must.NoError(t, err)
}

// Envoy has at most three generations run: the third has the second end the first. One
// whose successor has taken over is left alone when another answers at its place; five
// run here, the fourth and fifth called as the first and second were.
func TestReal_leftAlone(t *testing.T) {
	forRealEnvoys(t, func(t *testing.T, path string) {
		g := newGenerations(t, path, 2)
		raw := netip.MustParseAddrPort(g.raw)
		load := startLoad(t, "tcp", g.tcp, 10*time.Millisecond)
		var running []*process.Process
		var streams []net.Conn
		var before chan struct{} // the stand-in of the generation before the last
		for epoch := range 5 {
			running = append(running, g.start(epoch))
			g.ready(epoch)
			if epoch == 0 {
				load.mark()
			}
			if before != nil {
				<-before // this one's parent has told it to end, and says no more
			}
			if epoch > 0 {
				before = g.standIn(epoch-1, nil)
			}
			eventually(t, func() bool { // its predecessor accepts until it has heard of it
				stream := g.stream()
				held, err := running[epoch].Held([]netip.AddrPort{raw})
				must.NoError(t, err)
				if held == 0 {
					must.NoError(t, stream.Close())
					return false
				}
				streams = append(streams, stream)
				return true
			})
			for i, stream := range streams {
				echoes(t, stream)
				eventually(t, func() bool { // one that was closed above may be there for a moment
					held, err := running[i].Held([]netip.AddrPort{raw})
					must.NoError(t, err)
					return held == 1
				})
			}
		}
		load.refusesNobody(t)
		must.NoError(t, streams[0].Close())
		eventually(t, func() bool { held, err := running[0].Held([]netip.AddrPort{raw}); return err == nil && held == 0 })
		must.NoError(t, running[0].Signal(syscall.SIGTERM))
		<-running[0].Done()
		for _, stream := range streams[1:] {
			echoes(t, stream)
		}
	})
}

// An Envoy hands over to one of another version, and that to the first again, each confined
// as the last one was, and refuses nobody meanwhile.
func TestReal_upgrade(t *testing.T) {
	paths := strings.Split(*realEnvoys, ",")
	if len(paths) < 2 {
		t.Skip("it needs two real Envoys (make test names them)")
	}
	g := newGenerations(t, paths[0], 2)
	loads := g.loads()
	for epoch := range 4 {
		g.path = paths[epoch%2]
		g.start(epoch)
		g.ready(epoch)
		if epoch == 0 {
			for _, l := range loads {
				l.mark()
			}
		}
	}
	for _, l := range loads {
		l.refusesNobody(t)
	}
}

// What Envoy says of a bootstrap it says confined as well, of one that is good and of one
// that is not.
func TestReal_validate(t *testing.T) {
	forRealEnvoys(t, func(t *testing.T, path string) {
		g := newGenerations(t, path, 1)
		program := program{World: World{Run: sidecar.Run{Dir: g.dir, User: g.user}}}
		validate := func(content string) error {
			file, err := secretFile("bootstrap.json", []byte(content), g.user)
			must.NoError(t, err)
			defer func() { _ = file.Close() }()
			binary := program.binary(Settings{Path: path, Confine: ConfineRequired})
			binary.Confinement = confined(t, program, ConfineRequired, []byte(content))
			return binary.Validate(t.Context(), g.run(), nil, file)
		}
		must.NoError(t, validate(string(g.bootstrap())))
		must.ErrorContains(t, validate(`{"no_such_field": 1}`), "INVALID_ARGUMENT")
		version, err := program.binary(Settings{Path: path, Confine: ConfineRequired}).Version(t.Context())
		must.NoError(t, err)
		must.StrHasPrefix(t, "1.", version)
	})
}

// An access log at /dev/stdout goes to the task's log, which is a FIFO of the user's.
func TestReal_logToStdout(t *testing.T) {
	forRealEnvoys(t, func(t *testing.T, path string) {
		g := newGenerations(t, path, 1)
		fifo := filepath.Join(t.TempDir(), "stdout")
		must.NoError(t, syscall.Mkfifo(fifo, 0o600))
		must.NoError(t, os.Chown(fifo, int(g.user.UID), int(g.user.GID)))
		log, err := os.OpenFile(fifo, os.O_RDWR|syscall.O_NONBLOCK, 0)
		must.NoError(t, err)
		defer func() { _ = log.Close() }()
		content := strings.Replace(string(g.bootstrap()), `{"admin": {`, `{"admin": {"access_log": [{"name": "envoy.access_loggers.file", "typed_config": {
			"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": "/dev/stdout"}}], `, 1)
		file, err := secretFile("bootstrap.json", []byte(content), g.user)
		must.NoError(t, err)
		defer func() { _ = file.Close() }()
		dir, err := os.Open(g.dir)
		must.NoError(t, err)
		defer func() { _ = dir.Close() }()
		program := program{World: World{Run: sidecar.Run{Dir: g.dir, User: g.user, Stdout: fifo, Stderr: os.DevNull}}}
		args := Options{BaseID: g.base, LogLevel: "warning", Concurrency: 1}.Args()
		p, err := process.Start(process.Launch{Path: path, Args: args, Dir: dir, Files: []*os.File{nil, log, log, file}, User: g.user,
			Confinement: confined(t, program, ConfineRequired, []byte(content))})
		must.NoError(t, err)
		defer func() { _ = p.KillGroup(); <-p.Done() }()
		g.ready(0)
		must.NoError(t, p.Signal(syscall.SIGUSR1)) // flushes access logs, and opens them anew
		must.NoError(t, log.SetReadDeadline(time.Now().Add(20*time.Second)))
		var text strings.Builder
		for buffer := make([]byte, 4096); !strings.Contains(text.String(), "GET /"); {
			n, err := log.Read(buffer)
			must.NoError(t, err, must.Sprint(text.String()))
			text.Write(buffer[:n])
		}
	})
}

// Envoy counts the connections of each listener, one of unix domain too, by its address.
func TestReal_open(t *testing.T) {
	forRealEnvoys(t, func(t *testing.T, path string) {
		g := newGenerations(t, path, 2)
		g.start(0)
		g.ready(0)
		control := newControl(api{Admin: g.admin()})
		for _, listener := range control.Listeners(t.Context()) {
			at := listener.Address
			if listener.Network == "unix" {
				at = filepath.Join(g.dir, at)
			}
			conn, err := net.Dial(listener.Network, at)
			must.NoError(t, err)
			defer func() { _ = conn.Close() }()
			eventually(t, func() bool {
				open, err := control.Open(t.Context(), []sidecar.Address{listener})
				must.NoError(t, err)
				return open == 1
			})
		}
	})
}
