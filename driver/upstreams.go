package driver

import (
	"cmp"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/sidecar"
)

// loopback is where the app finds its upstreams unless it says otherwise.
const loopback = "127.0.0.1"

// upstreams turns what the user wrote into what Consul is told. None may be on a
// port or socket that is taken.
func upstreams(field string, list []Upstream, ports ports, taken claims, runDir string) ([]api.Upstream, error) {
	out := make([]api.Upstream, 0, len(list))
	for i, u := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		if u.DestinationName == "" {
			return nil, sidecar.Invalidf(at+".destination_name", "is missing; it names the service that the app is to reach")
		}
		upstream, where, err := bindUpstream(at, u, ports, runDir)
		if err != nil {
			return nil, err
		}
		mine := claim{where: where, socket: upstream.LocalBindSocketPath, by: fmt.Sprintf("the upstream %q", u.DestinationName)}
		if taken, err = taken.add(at, mine); err != nil {
			return nil, err
		}
		if err := tuneUpstream(at, u, &upstream); err != nil {
			return nil, err
		}
		out = append(out, upstream)
	}
	return out, nil
}

// claims are the places that one proxy listens on.
type claims []claim

// add refuses a place that is taken already; field is where the user asked for it.
func (c claims) add(field string, mine claim) (claims, error) {
	for _, other := range c {
		if mine.overlaps(other) {
			return nil, sidecar.Invalidf(field, "%s is to listen on %s, but %s does already", mine.by, mine, other.by)
		}
	}
	return append(c, mine), nil
}

// claim is a place to listen on, and who wants it.
type claim struct {
	where  sidecar.Port
	socket string
	by     string
}

func (c claim) String() string {
	if c.socket != "" {
		return c.socket
	}
	return c.where.String()
}

func (c claim) overlaps(other claim) bool {
	if c.socket != "" || other.socket != "" {
		return c.socket == other.socket
	}
	return c.where.Number == other.where.Number &&
		(c.where.Address == other.where.Address || isWildcard(c.where.Address) || isWildcard(other.where.Address))
}

func isWildcard(address string) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && ip.IsUnspecified()
}

// bindUpstream says where the app finds the upstream: on a port label, a port
// number or a unix socket.
func bindUpstream(at string, u Upstream, ports ports, runDir string) (api.Upstream, sidecar.Port, error) {
	out := api.Upstream{DestinationName: u.DestinationName, LocalBindSocketMode: u.LocalBindSocketMode}
	var given []string
	for name, is := range map[string]bool{"port": u.Port != "", "local_bind_port": u.LocalBindPort != 0, "local_bind_socket_path": u.LocalBindSocketPath != ""} {
		if is {
			given = append(given, name)
		}
	}
	if len(given) != 1 {
		return out, sidecar.Port{}, sidecar.Invalidf(at, "%q is given %d places to listen on; exactly one of port (a label), local_bind_port (a number) and local_bind_socket_path says where the app finds it", u.DestinationName, len(given))
	}
	if given[0] == "local_bind_socket_path" {
		path, err := upstreamSocket(at, u, runDir)
		out.LocalBindSocketPath = path
		if u.LocalBindSocketGroup != "" {
			out.LocalBindSocketMode = cmp.Or(u.LocalBindSocketMode, groupSocketMode)
		}
		return out, sidecar.Port{}, err
	}
	for name, value := range map[string]string{"mode": u.LocalBindSocketMode, "group": u.LocalBindSocketGroup} {
		if value != "" {
			return out, sidecar.Port{}, sidecar.Invalidf(at+".local_bind_socket_"+name, "goes only with local_bind_socket_path")
		}
	}
	where, err := upstreamPort(at, u, ports)
	out.LocalBindAddress, out.LocalBindPort = where.Address, where.Number
	return out, where, err
}

func upstreamPort(at string, u Upstream, ports ports) (sidecar.Port, error) {
	where := sidecar.Port{Address: loopback, Number: u.LocalBindPort}
	if u.Port != "" {
		labelled, err := ports.get(at+".port", u.Port)
		if err != nil {
			return where, err
		}
		// An upstream is for the app alone: on a port of another host network
		// than loopback it is bound to loopback all the same.
		where.Label, where.Number = labelled.Label, labelled.Number
		if ip, err := netip.ParseAddr(labelled.Address); err == nil && ip.IsLoopback() {
			where.Address = labelled.Address
		}
	} else if err := portInRange(at+".local_bind_port", u.LocalBindPort); err != nil {
		return where, err
	}
	if err := ipAddress(at+".local_bind_address", u.LocalBindAddress); err != nil {
		return where, err
	}
	if u.LocalBindAddress != "" {
		where.Address = u.LocalBindAddress
	}
	return where, rootsPort(at, where)
}

// rootsPort refuses a port of root's that others than this machine reach and that is
// written as a number: the proxy may listen on such ports, and Nomad says which of them a
// job has.
func rootsPort(at string, p sidecar.Port) error {
	const first = 1024 // that is for everybody
	if p.Label != "" || p.Number >= first {
		return nil
	}
	if ip, err := netip.ParseAddr(p.Address); err == nil && ip.IsLoopback() {
		return nil
	}
	return sidecar.Invalidf(at+".local_bind_port", "%d at %s is a port of root's, and where others than this machine come in, Nomad gives those: name it by the label of a port with static = %d in the group's network block (port = …), take one from %d on, or leave local_bind_address at 127.0.0.1", p.Number, p.Address, p.Number, first)
}

// maxSocketPath is the longest path of a socket, without its final zero.
const maxSocketPath = 107

// upstreamSocket checks the socket that the app is to find the upstream at.
func upstreamSocket(at string, u Upstream, runDir string) (string, error) {
	if u.LocalBindAddress != "" {
		return "", sidecar.Invalidf(at+".local_bind_address", "cannot go with local_bind_socket_path")
	}
	if u.LocalBindSocketMode != "" {
		if _, err := strconv.ParseUint(u.LocalBindSocketMode, 8, 9); err != nil {
			return "", sidecar.Invalidf(at+".local_bind_socket_mode", "%q is not an octal file mode such as \"0660\"", u.LocalBindSocketMode)
		}
	}
	return socketPath(at+".local_bind_socket_path", u.LocalBindSocketPath, runDir, maxSocketPath)
}

// allocDirOf is the allocation's directory, of <alloc>/<task>/secrets/connect.
func allocDirOf(runDir string) string { return filepath.Dir(filepath.Dir(filepath.Dir(runDir))) }

// isBelow tells whether a clean path leads into a directory.
func isBelow(path, dir string) bool { return strings.HasPrefix(path, dir+"/") }

// socketPath checks the path of a socket that Envoy is to listen on or connect
// to. One in the allocation's directory is given to Envoy relative to its own
// directory: such paths are short enough, and lead through no directory of the
// agent.
func socketPath(field, given, runDir string, most int) (string, error) {
	path := filepath.Clean(given)
	if !filepath.IsAbs(path) {
		return "", sidecar.Invalidf(field, "%q is not an absolute path; ${NOMAD_ALLOC_DIR}/tmp/<name>.sock is one that every task of the group reaches", given)
	}
	if isBelow(path, allocDirOf(runDir)) {
		rel, err := filepath.Rel(runDir, path)
		if err != nil {
			return "", sidecar.Invalidf(field, "%v", err)
		}
		path = rel
	}
	if len(path) > most {
		return "", sidecar.Invalidf(field, "%q has %d characters; a socket's path may have %d here", path, len(path), most)
	}
	return path, nil
}
