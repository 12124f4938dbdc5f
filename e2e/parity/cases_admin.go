package parity

import "github.com/hashicorp/consul/api"

// Envoy's admin API and readiness.
var adminCases = []Case{
	{Name: "The admin API at an address", Args: web + "-admin-bind 127.0.0.5:19500"},
	{Name: "The admin API at a host name is resolved", Args: web + "-admin-bind localhost:19500"},
	{Name: "The admin API at an IPv6 address", Args: web + "-admin-bind [::1]:19500"},
	{Name: "The admin API at all addresses", Args: web + "-admin-bind 0.0.0.0:19500"},
	{Name: "The admin API at any port", Args: web + "-admin-bind 127.0.0.1:0"},
	{Name: "A sidecar answers ready", Args: web + "-envoy-ready-bind-address 127.0.0.1 -envoy-ready-bind-port 20300"},
	{Name: "A sidecar answers ready at an IPv6 address", Args: web + "-envoy-ready-bind-address ::1 -envoy-ready-bind-port 20300"},
	{Name: "A readiness address without a port is nothing", Args: web + "-envoy-ready-bind-address 127.0.0.1"},
	{Name: "A readiness port without an address is nothing", Args: web + "-envoy-ready-bind-port 20300"},
	{Name: "Readiness leads to the admin API where it is", Args: web + "-admin-bind 127.0.0.5:19500 -envoy-ready-bind-address 127.0.0.1 -envoy-ready-bind-port 20300"},

	{Name: "An admin address without a port", Args: web + "-admin-bind 127.0.0.1", Error: "-admin-bind: address 127.0.0.1: missing port in address"},
	{Name: "An admin address whose host does not exist", Args: web + "-admin-bind nowhere.invalid:1", Error: `-admin-bind: resolve "nowhere.invalid"`},
	{Name: "An admin address whose port is no number", Args: web + "-admin-bind 127.0.0.1:admin", Error: `-admin-bind: "admin" is not a port between 0 and 65535`},
	{Name: "A readiness port that is no number", Args: web + "-envoy-ready-bind-port ready", Error: `invalid value "ready" for flag -envoy-ready-bind-port`},

	{Name: "An admin address without a host", Args: web + "-admin-bind :19000", Error: `-admin-bind: the host of ":19000" is missing`, Differs: "Envoy refuses an empty address"},
	{Name: "An admin port that is too large", Args: web + "-admin-bind 127.0.0.1:99999", Error: "is not a port between 0 and 65535", Differs: "Envoy refuses the port"},
	{Name: "A readiness address that is a host name", Args: web + "-envoy-ready-bind-address localhost -envoy-ready-bind-port 20300", Error: `-envoy-ready-bind-address: "localhost" is not an IP address`, Differs: "Envoy refuses a listener whose address is a name"},
	{Name: "A readiness port that is too large", Args: web + "-envoy-ready-bind-address 127.0.0.1 -envoy-ready-bind-port 99999", Error: "-envoy-ready-bind-port: 99999 is not a port between 1 and 65535", Differs: "Envoy refuses the port"},
	{Name: "The accidental key of the readiness listener", Args: web, Config: map[string]any{"-": "127.0.0.1:20300"}, Error: `proxy config key "-": it means nothing here`, Differs: "an accident of the consul command's decoder"},
}

// Where requests to the admin API are logged.
var accessLogCases = []Case{
	{Name: "The admin log in a file", Args: web + "-admin-access-log-path /dev/stdout", Warning: "-admin-access-log-path is deprecated"},
	{Name: "The admin log in no file", Args: web + "-admin-access-log-path=", Warning: "-admin-access-log-path is deprecated"},
	{Name: "Access logs", Args: web, AccessLogs: &api.AccessLogsConfig{Enabled: true}},
	{Name: "Access logs that are off", Args: web, AccessLogs: &api.AccessLogsConfig{Type: api.StdErrLogSinkType}},
	{Name: "Access logs on stdout", Args: web, AccessLogs: &api.AccessLogsConfig{Enabled: true, Type: api.StdOutLogSinkType}},
	{Name: "Access logs on stderr as JSON", Args: web, AccessLogs: &api.AccessLogsConfig{Enabled: true, Type: api.StdErrLogSinkType, JSONFormat: `{"who": "%DOWNSTREAM_REMOTE_ADDRESS%", "n": 12345678901234567890, "in": {"a": [1, true, null]}}`}},
	{Name: "Access logs in a file as text", Args: web, AccessLogs: &api.AccessLogsConfig{Enabled: true, Type: api.FileLogSinkType, Path: "/dev/null", TextFormat: `%PROTOCOL% "%REQ(:PATH)%"`}},
	{Name: "Access logs as text that ends its line", Args: web, AccessLogs: &api.AccessLogsConfig{Enabled: true, TextFormat: "%PROTOCOL%\n"}},
	{Name: "Access logs are for the admin API even when listeners have none", Args: web, AccessLogs: &api.AccessLogsConfig{Enabled: true, DisableListenerLogs: true}},
	{Name: "Access logs hold without the central config", Args: web + "-no-central-config", AccessLogs: &api.AccessLogsConfig{Enabled: true}},
	{Name: "Access logs go before the admin log's file", Args: web + "-admin-access-log-path /dev/stdout", AccessLogs: &api.AccessLogsConfig{Enabled: true}, Warning: "-admin-access-log-path is ignored, as proxy-defaults has AccessLogs"},
	{Name: "Access logs that are off leave the admin log's file", Args: web + "-admin-access-log-path /dev/stdout", AccessLogs: &api.AccessLogsConfig{}, Warning: "-admin-access-log-path is deprecated"},
}
