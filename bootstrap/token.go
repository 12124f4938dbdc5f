package bootstrap

import (
	"bytes"
	"encoding/json"
)

// Token finds the ACL token in a bootstrap, of ours or of the consul command; empty
// when there is none.
func Token(content []byte) string {
	var b struct {
		DynamicResources struct {
			AdsConfig struct {
				GrpcServices grpcServices `json:"grpc_services"`
			} `json:"ads_config"`
		} `json:"dynamic_resources"`
	}
	if json.Unmarshal(content, &b) != nil {
		return ""
	}
	for _, service := range b.DynamicResources.AdsConfig.GrpcServices {
		for _, header := range service.InitialMetadata {
			if header.Key == tokenHeader {
				return header.Value
			}
		}
	}
	return ""
}

type grpcService struct {
	InitialMetadata []struct{ Key, Value string } `json:"initial_metadata"`
}

// grpcServices are a list or, as the consul command has it, the only one of them:
// Envoy reads either.
type grpcServices []grpcService

// UnmarshalJSON implements json.Unmarshaler.
func (s *grpcServices) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte("{")) {
		*s = make(grpcServices, 1)
		return json.Unmarshal(text, &(*s)[0])
	}
	return json.Unmarshal(text, (*[]grpcService)(s))
}
