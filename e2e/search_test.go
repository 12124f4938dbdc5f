package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"nomad-driver-connect/e2e/agents"
)

// asSearcher marks the process that searches a node as another user: the test's own
// binary, which is told on its standard input what to search for.
const asSearcher = "E2E_SEARCH"

// search is what somebody with an account on a node looks for, and where.
type search struct {
	Secrets []string // he would know none of them if he found none
	Dirs    []string // with all below them
	APIs    []string // URLs that he asks without a token
}

// spoils are what he has found.
type spoils struct {
	Secrets []string // where one was
	Admins  []string // the listeners that let him command an Envoy
	Sockets []string // the unix sockets that let him in
	Answers []string // what an API told him without a token
	Cores   []string // processes whose memory would be written to a file
	Looked  int      // at how many places
}

// runSearch reads a search, and writes the spoils.
func runSearch(in io.Reader, out io.Writer) error {
	var s searcher
	if err := json.NewDecoder(in).Decode(&s.search); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s.processes()
	for _, dir := range s.Dirs {
		s.files(dir)
	}
	if err := s.listeners(ctx); err != nil {
		return err
	}
	for _, url := range s.APIs {
		s.api(ctx, url)
	}
	return json.NewEncoder(out).Encode(s.found)
}

type searcher struct {
	search
	found spoils
}

// note looks for the secrets in what was read somewhere.
func (s *searcher) note(where string, content []byte) {
	s.found.Looked++
	for _, secret := range s.Secrets {
		if bytes.Contains(content, []byte(secret)) {
			s.found.Secrets = append(s.found.Secrets, where)
			return
		}
	}
}

// most is more than any place has that a secret could be at the end of.
const most = 8 << 20

func (s *searcher) file(path string) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	content, _ := io.ReadAll(io.LimitReader(f, most))
	s.note(path, content)
}

// processes are searched in all that the kernel tells of them.
func (s *searcher) processes() {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if dir == fmt.Sprintf("/proc/%d", os.Getpid()) {
			continue
		}
		for _, name := range []string{"cmdline", "environ", "maps", "mountinfo", "status"} {
			s.file(filepath.Join(dir, name))
		}
		fds, _ := filepath.Glob(filepath.Join(dir, "fd", "*"))
		for _, fd := range fds {
			if info, err := os.Stat(fd); err == nil && info.Mode().IsRegular() {
				s.file(fd)
			}
		}
		s.core(dir)
	}
}

// core notes an Envoy that would leave its memory in a file.
func (s *searcher) core(dir string) {
	name, _ := os.ReadFile(filepath.Join(dir, "comm"))
	limits, err := os.ReadFile(filepath.Join(dir, "limits"))
	if err != nil || !strings.HasPrefix(string(name), "envoy") {
		return
	}
	for line := range strings.Lines(string(limits)) {
		if fields := strings.Fields(line); strings.HasPrefix(line, "Max core file size") && fields[len(fields)-3] != "0" {
			s.found.Cores = append(s.found.Cores, dir)
		}
	}
}

func (s *searcher) files(root string) {
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			s.file(path)
		}
		return nil // what he may not enter he goes past
	})
}

// listeners are all spoken to, by whatever path leads there.
func (s *searcher) listeners(ctx context.Context) error {
	all, err := agents.Listeners()
	if err != nil {
		return err
	}
	for _, l := range all {
		address := l.Address
		if l.Network == "unix" && strings.HasPrefix(address, "@") {
			address = "@" + strings.TrimRight(address[1:], "@")
		}
		for _, path := range []string{"/config_dump", "/server_info"} {
			_, body, err := ask(ctx, l.Network, address, path)
			if err != nil {
				continue
			}
			s.note(l.Network+" "+address+path, body)
			if strings.Contains(string(body), "hot_restart_version") && !slices.Contains(s.found.Admins, address) {
				s.found.Admins = append(s.found.Admins, address)
			}
		}
		if l.Network == "unix" && letsIn(ctx, address) {
			s.found.Sockets = append(s.found.Sockets, address)
		}
	}
	s.byPath(ctx)
	return nil
}

// byPath tries the sockets that lie in the directories: one that was bound by a relative
// path is not listed by its whole one.
func (s *searcher) byPath(ctx context.Context) {
	for _, root := range s.Dirs {
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type() == fs.ModeSocket && letsIn(ctx, path) {
				s.found.Sockets = append(s.found.Sockets, path)
			}
			return ctx.Err()
		})
	}
}

// letsIn tells a socket that takes a connection, unless it wants a token then: Nomad makes
// one for each task where its API answers (secrets/api.sock), for everybody to connect to.
func letsIn(ctx context.Context, path string) bool {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	status, _, err := ask(ctx, "unix", path, "/v1/agent/self")
	return err != nil || (status != http.StatusUnauthorized && status != http.StatusForbidden)
}

// api asks without a token, and notes what is told all the same.
func (s *searcher) api(ctx context.Context, url string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, most))
	s.note(url, body)
	empty := slices.Contains([]string{"", "{}", "[]", "null"}, strings.TrimSpace(string(body)))
	refused := strings.Contains(string(body), "Permission denied") // with 200, where a stream has begun
	if resp.StatusCode == http.StatusOK && !empty && !refused {
		s.found.Answers = append(s.found.Answers, url)
	}
}

// ask speaks HTTP with whoever listens.
func ask(ctx context.Context, network, address, path string) (status int, body []byte, err error) {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://x"+path, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, most))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return resp.StatusCode, body, err
}
