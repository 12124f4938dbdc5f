package bootstrap

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	"github.com/hashicorp/consul/api"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// Names and default format are those that Consul's xDS server gives its
// listeners (agent/xds/accesslogs), so that all logs of a proxy read alike.
const (
	consulAccessLog = "Consul Listener Filter Log"
	fileAccessLog   = "envoy.access_loggers.file"
)

var defaultAccessLogFormat = map[string]string{
	"authority":                         "%REQ(:AUTHORITY)%",
	"bytes_received":                    "%BYTES_RECEIVED%",
	"bytes_sent":                        "%BYTES_SENT%",
	"connection_termination_details":    "%CONNECTION_TERMINATION_DETAILS%",
	"downstream_local_address":          "%DOWNSTREAM_LOCAL_ADDRESS%",
	"downstream_remote_address":         "%DOWNSTREAM_REMOTE_ADDRESS%",
	"duration":                          "%DURATION%",
	"method":                            "%REQ(:METHOD)%",
	"path":                              "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
	"protocol":                          "%PROTOCOL%",
	"request_id":                        "%REQ(X-REQUEST-ID)%",
	"requested_server_name":             "%REQUESTED_SERVER_NAME%",
	"response_code":                     "%RESPONSE_CODE%",
	"response_code_details":             "%RESPONSE_CODE_DETAILS%",
	"response_flags":                    "%RESPONSE_FLAGS%",
	"route_name":                        "%ROUTE_NAME%",
	"start_time":                        "%START_TIME%",
	"upstream_cluster":                  "%UPSTREAM_CLUSTER%",
	"upstream_host":                     "%UPSTREAM_HOST%",
	"upstream_local_address":            "%UPSTREAM_LOCAL_ADDRESS%",
	"upstream_service_time":             "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
	"upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
	"user_agent":                        "%REQ(USER-AGENT)%",
	"x_forwarded_for":                   "%REQ(X-FORWARDED-FOR)%",
}

// adminAccessLog is where Envoy writes requests to its admin API: where
// proxy-defaults sends access logs, else to the path.
func adminAccessLog(logs *api.AccessLogsConfig, path string) ([]*accesslogv3.AccessLog, error) {
	name, sink := fileAccessLog, proto.Message(&filev3.FileAccessLog{Path: cmp.Or(path, DefaultAdminAccessLog)})
	if logs != nil && logs.Enabled {
		name = consulAccessLog
		var err error
		if sink, err = accessLogSink(logs); err != nil {
			return nil, fmt.Errorf("proxy-defaults AccessLogs: %w", err)
		}
	}
	typed, err := anyOf(sink)
	if err != nil {
		return nil, err
	}
	return []*accesslogv3.AccessLog{{
		Name:       name,
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: typed},
	}}, nil
}

func accessLogSink(logs *api.AccessLogsConfig) (proto.Message, error) {
	format, err := accessLogFormat(logs)
	if err != nil {
		return nil, err
	}
	switch logs.Type {
	case api.DefaultLogSinkType, api.StdOutLogSinkType:
		return &streamv3.StdoutAccessLog{
			AccessLogFormat: &streamv3.StdoutAccessLog_LogFormat{LogFormat: format},
		}, nil
	case api.StdErrLogSinkType:
		return &streamv3.StderrAccessLog{
			AccessLogFormat: &streamv3.StderrAccessLog_LogFormat{LogFormat: format},
		}, nil
	case api.FileLogSinkType:
		if logs.Path == "" {
			return nil, errors.New("Path: is missing; a log of type file needs one")
		}
		return &filev3.FileAccessLog{
			Path:            logs.Path,
			AccessLogFormat: &filev3.FileAccessLog_LogFormat{LogFormat: format},
		}, nil
	}
	return nil, fmt.Errorf("Type: %q is unknown; it is one of stdout, stderr, file", logs.Type)
}

// accessLogFormat prefers JSONFormat over TextFormat, as Consul does.
func accessLogFormat(logs *api.AccessLogsConfig) (*corev3.SubstitutionFormatString, error) {
	if logs.JSONFormat == "" && logs.TextFormat != "" {
		line := strings.TrimSuffix(logs.TextFormat, "\n") + "\n"
		return &corev3.SubstitutionFormatString{
			Format: &corev3.SubstitutionFormatString_TextFormatSource{
				TextFormatSource: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: line}},
			},
		}, nil
	}
	format := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	if logs.JSONFormat == "" {
		for field, value := range defaultAccessLogFormat {
			format.Fields[field] = structpb.NewStringValue(value)
		}
	} else if err := protojson.Unmarshal([]byte(logs.JSONFormat), format); err != nil {
		return nil, fmt.Errorf("JSONFormat: a JSON object is expected: %s", withoutPosition(err))
	}
	return &corev3.SubstitutionFormatString{
		Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: format},
	}, nil
}
