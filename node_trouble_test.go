package main_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// What people get wrong with addresses and profiles is said in words, with what to do,
// by every command that asks a hub.
func TestWrongAddressesAreSaidInWords(t *testing.T) {
	t.Parallel()
	dir, grpc, edge, other := t.TempDir(), freeAddress(t), freeAddress(t), freeAddress(t)
	data := filepath.Join(dir, "hub")
	admin := filepath.Join(data, "admin")
	startHub(t, data, grpc, edge)
	startHub(t, filepath.Join(dir, "other"), other, "127.0.0.1:0")
	province := enrol(t, admin, "H41/motcua", "one-stop")
	file := filepath.Join(samplesDir(t), "dossier.xml")
	for _, tc := range []struct{ name, address, en, vi, next string }{
		{"another hub", other, "the certificate there is of an unknown authority", "không do cơ quan chứng thực mà hồ sơ tin cậy cấp", "check the address"},
		{"the port for REST", edge, "there is no gRPC at that port, but HTTP", "không phải gRPC mà là HTTP", "8443"},
	} {
		for _, profile := range []string{province, admin} {
			must(t, "node", "set-address", tc.address, "--profile", profile)
		}
		for _, args := range [][]string{
			{"node", "status", "--profile", province, "--timeout", "2s", "--lang", "en"}, {"node", "submit", "--profile", province, "--timeout", "2s", file},
			{"ledger", "checkpoint", "--profile", province}, {"admin", "--profile", admin, "node", "list"},
		} {
			got := lienthong(t, "", args...)
			wantSaid(t, tc.name+": "+strings.Join(args[:2], " "), got, 1, tc.en, "Next: ", tc.next)
			if strings.Contains(got.stderr, "transport") || strings.Contains(got.stderr, "x509") {
				t.Errorf("%s: it speaks of machinery:\n%s", tc.name, got.stderr)
			}
		}
		wantSaid(t, "in Vietnamese", inVietnamese(t, "ledger", "checkpoint", "--profile", province), 1, tc.vi, "Tiếp theo: ")
	}
}
