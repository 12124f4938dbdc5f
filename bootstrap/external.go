package bootstrap

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protojson"
)

// External is a bootstrap that somebody else wrote: Nomad for its own Connect, or
// a user. Nothing of it is changed but that its admin API is at a port or at our socket.
type External struct {
	Content []byte // JSON
	NodeID  string // empty when it names none
	Admin   AdminAddress
	Socket  string // which the bootstrap has for its admin API, and ours stands in for; mostly empty

	// Stream, Clusters and Listeners say what Envoy is to hear from a management
	// server: whether it asks it at all, and for what.
	Stream, Clusters, Listeners bool
}

// AdminAddress is where the admin API listens.
type AdminAddress struct {
	Network string // tcp, unix
	Address string // "host:port", or a path
}

// ParseExternal reads a bootstrap in JSON or YAML. One whose admin API has no port gets it
// on our socket: any other could be somebody else's, who would be told to drain. An error
// says what is wrong, and quotes nothing: it may hold secrets.
func ParseExternal(text []byte, adminSocket string) (External, error) {
	content, err := JSON(text)
	if err != nil {
		return External{}, err
	}
	var root map[string]json.RawMessage
	if err := json.Unmarshal(content, &root); err != nil || root == nil {
		return External{}, errors.New("it is no object")
	}
	e := External{Content: content}
	if e.NodeID, err = nodeID(root["node"]); err != nil {
		return External{}, err
	}
	dynamic, err := members(root, "dynamic_resources", "dynamicResources")
	if err != nil {
		return External{}, err
	}
	e.Stream = has(dynamic, "ads_config", "adsConfig")
	e.Clusters = has(dynamic, "cds_config", "cdsConfig")
	e.Listeners = has(dynamic, "lds_config", "ldsConfig")
	ours := AdminAddress{Network: "unix", Address: adminSocket}
	if e.Admin, err = adminAddress(root["admin"]); err != nil || e.Admin.Network == "tcp" || e.Admin == ours {
		return e, err
	}
	e.Socket, e.Admin = e.Admin.Address, ours
	e.Content, err = withAdmin(root, adminSocket)
	return e, err
}

// JSON gives a configuration of Envoy's in JSON, which is taken as it stands, or in YAML.
func JSON(text []byte) ([]byte, error) {
	if json.Valid(text) {
		return text, nil
	}
	return yamlAsJSON(text)
}

func nodeID(node json.RawMessage) (string, error) {
	var n struct{ ID string }
	if len(node) > 0 && json.Unmarshal(node, &n) != nil {
		return "", errors.New("its node is no object with an id")
	}
	return n.ID, nil
}

// members gives those of an object below any of the names.
func members(root map[string]json.RawMessage, names ...string) (map[string]json.RawMessage, error) {
	var found map[string]json.RawMessage
	for _, name := range names {
		if text := root[name]; len(text) > 0 && json.Unmarshal(text, &found) != nil {
			return nil, fmt.Errorf("its %s is no object", name)
		}
	}
	return found, nil
}

func has(object map[string]json.RawMessage, names ...string) bool {
	for _, name := range names {
		if _, ok := object[name]; ok {
			return true
		}
	}
	return false
}

// adminAddress is zero when there is none.
func adminAddress(admin json.RawMessage) (AdminAddress, error) {
	var a struct{ Address json.RawMessage }
	if len(admin) > 0 && json.Unmarshal(admin, &a) != nil {
		return AdminAddress{}, errors.New("its admin is no object")
	}
	if len(a.Address) == 0 {
		return AdminAddress{}, nil
	}
	var address corev3.Address
	if err := protojson.Unmarshal(a.Address, &address); err != nil {
		return AdminAddress{}, errors.New("its admin.address is no address of Envoy")
	}
	if pipe := address.GetPipe(); pipe != nil {
		return AdminAddress{Network: "unix", Address: pipe.GetPath()}, nil
	}
	socket := address.GetSocketAddress()
	if socket.GetAddress() == "" || socket.GetPortValue() == 0 {
		return AdminAddress{}, errors.New("its admin.address has no address with a port, so the admin API could not be found")
	}
	return AdminAddress{Network: "tcp", Address: net.JoinHostPort(socket.GetAddress(), strconv.Itoa(int(socket.GetPortValue())))}, nil
}

// withAdmin puts the admin API on the socket, and keeps what else is said of one.
func withAdmin(root map[string]json.RawMessage, socket string) ([]byte, error) {
	admin := map[string]any{}
	if text := root["admin"]; len(text) > 0 {
		_ = json.Unmarshal(text, &admin) // an object, it was looked at before
	}
	admin["address"] = map[string]any{"pipe": map[string]any{"path": socket, "mode": 0o600}}
	text, err := json.Marshal(admin)
	if err != nil {
		return nil, err
	}
	root["admin"] = text
	return json.Marshal(root)
}
