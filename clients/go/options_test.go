package rerankd

import (
	"encoding/json"
	"path/filepath"
	"testing"
)

func TestOptionsThatCannotBeUsed(t *testing.T) {
	for name, option := range map[string]Option{
		"no attempt":    WithMaxAttempts(0),
		"six attempts":  WithMaxAttempts(6),
		"half a header": WithMetadata("x-team"),
	} {
		if _, err := New("localhost", option); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := TLSFromFiles(filepath.Join(t.TempDir(), "missing.pem"), "", ""); err == nil {
		t.Error("a missing file is taken")
	}
}

func TestAttempts(t *testing.T) {
	for attempts, want := range map[int]float64{1: 0, 2: 2, 4: 4} {
		text, err := withMaxAttempts(serviceConfig, attempts)
		if err != nil {
			t.Fatal(err)
		}
		var config struct {
			MethodConfig []struct {
				RetryPolicy struct{ MaxAttempts float64 }
			}
			HealthCheckConfig struct{ ServiceName string }
		}
		if err := json.Unmarshal([]byte(text), &config); err != nil {
			t.Fatal(err)
		}
		if config.HealthCheckConfig.ServiceName != "rerank.v1.RerankService" {
			t.Error("health is not checked")
		}
		got := 0.0
		for _, method := range config.MethodConfig {
			got = method.RetryPolicy.MaxAttempts
		}
		if got != want {
			t.Errorf("%d attempts became %v", attempts, got)
		}
	}
}
