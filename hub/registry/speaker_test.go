package registry_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/lienthong/lienthong/hub/registry"
)

func TestSpeaksForItsOwnAndWhatIsBelow(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		node, onBehalfOf, want string
		wantCode               codes.Code
		wantReason             string
	}{
		{node: "H41/motcua", want: "H41"},
		{node: "H41/motcua", onBehalfOf: "H41", want: "H41"},
		{node: "H41/motcua", onBehalfOf: "H41.01.02", want: "H41.01.02"},
		{node: "H41/motcua", onBehalfOf: "000.02.01.H41", want: "H41.01.02"},
		{node: "H41.01/motcua", onBehalfOf: "H41", wantCode: codes.PermissionDenied, wantReason: "organisation_not_yours"},
		{node: "H41/motcua", onBehalfOf: "H4", wantCode: codes.PermissionDenied, wantReason: "organisation_not_yours"},
		{node: "H41/motcua", onBehalfOf: "H411", wantCode: codes.PermissionDenied, wantReason: "organisation_not_yours"},
		{node: "H41/motcua", onBehalfOf: "Nghệ An", wantCode: codes.InvalidArgument, wantReason: "organisation_invalid"},
	} {
		got, err := registry.SpeaksFor(tc.node, tc.onBehalfOf)
		if tc.wantReason != "" {
			wantRefusal(t, err, tc.wantCode, tc.wantReason)
		} else if err != nil || got.String() != tc.want {
			t.Errorf("%s on behalf of %q: %s, %v; want %s", tc.node, tc.onBehalfOf, got, err, tc.want)
		}
	}
}
