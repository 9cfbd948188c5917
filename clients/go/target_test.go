package rerankd

import "testing"

func TestHealthIsCheckedWhereTheClientBalances(t *testing.T) {
	for target, want := range map[string]bool{
		"dns:///a:1": true, "ipv4:10.0.0.1:1,b:2": true, "a:1": false, "unix:/run/r.sock": false,
	} {
		if checksHealth(target) != want {
			t.Errorf("health of %q: want %v", target, want)
		}
	}
}

func TestTargets(t *testing.T) {
	t.Setenv(AddressVariable, "")
	for address, want := range map[string]string{
		"":                      "127.0.0.1:50051",
		"localhost":             "localhost:50051",
		"localhost:1":           "localhost:1",
		"::1":                   "[::1]:50051",
		"[::1]":                 "[::1]:50051",
		"[::1]:1":               "[::1]:1",
		"dns:///a:1":            "dns:///a:1",
		"unix:/run/r.sock":      "unix:/run/r.sock",
		"ipv4:10.0.0.1:1,b:2":   "ipv4:10.0.0.1:1,b:2",
		"rerankd.example:50051": "rerankd.example:50051",
	} {
		if got, err := resolveTarget(address); err != nil || got != want {
			t.Errorf("%q is resolved to %q (%v), want %q", address, got, err, want)
		}
	}
	t.Setenv(AddressVariable, "there:1")
	if got, _ := resolveTarget(""); got != "there:1" {
		t.Errorf("the environment is not read: %q", got)
	}
	if _, err := New("http://localhost:8080"); err == nil {
		t.Error("an HTTP address is taken")
	}
}
