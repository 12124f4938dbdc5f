package parity

const (
	refused = "; quotes, backslashes and control characters are not taken"
	pasted  = "the consul command pastes the text into JSON, where it means something else"
)

// Texts that JSON would read otherwise.
var textCases = []Case{
	{Name: "A tag with a quote", Args: web, Config: map[string]any{"envoy_stats_tags": []string{`a="b`}}, Error: `proxy config key "envoy_stats_tags": it contains '"'` + refused},
	{Name: "A tag that closes its object and opens another", Args: web, Config: map[string]any{"envoy_stats_tags": []string{`a=b"}, {"tag_name": "c", "fixed_value": "d`}}, Error: "it contains '\"'" + refused, Differs: pasted},
	{Name: "A tag with a backslash", Args: web, Config: map[string]any{"envoy_stats_tags": []string{`a=\u0062`}}, Error: `it contains '\\'` + refused, Differs: pasted},
	{Name: "A token with a quote", Args: web + `-token a"b`, Error: "the ACL token: it contains '\"'" + refused},
	{Name: "A token with a backslash", Args: web + `-token a\u0062`, Error: `the ACL token: it contains '\\'` + refused, Differs: pasted},
	{Name: "A token with a percent sign", Args: web + `-token 50%`, Error: "the ACL token: it contains '%'", Differs: "Envoy refuses it: it takes it for a command"},
	{Name: "A log path with a quote", Args: web + `-admin-access-log-path /tmp/"x`, Error: "the path of the admin access log: it contains '\"'" + refused},
	{Name: "A scrape path with a backslash", Args: web + `-prometheus-scrape-path /a\tb`, Config: map[string]any{scrape: listens}, Error: `the Prometheus scrape path: it contains '\\'` + refused, Differs: pasted},
	{Name: "A socket of the agent with a quote", Args: web + `-grpc-addr unix:///run/"x`, Error: "the path of the agent's socket: it contains '\"'" + refused},
	{Name: "A directory of the collector with a quote", Args: web, Config: map[string]any{"envoy_telemetry_collector_bind_socket_dir": `/tmp/"x`}, Error: `proxy config key "envoy_telemetry_collector_bind_socket_dir": it contains '"'` + refused},
	{Name: "Text in other alphabets", Args: web + "-token тест", Config: map[string]any{"envoy_stats_tags": []string{"straße=größe", "<a>=&b;"}}},
}
