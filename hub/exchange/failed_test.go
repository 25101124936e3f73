package exchange_test

import (
	"errors"
	"testing"

	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// A commit that failed in a store that works on leaves nothing open: whether the packet was
// accepted after all, that can be asked. So its sender can drop the upload, or submit again.
func TestUploadsOfAFailedCommitAreFree(t *testing.T) {
	t.Parallel()
	g := newGate()
	h := start(t, options{large: true, brake: g.brake})
	node := h.uploads("H41/motcua")
	for _, id := range []string{"dropped", "again"} {
		env := envelope(id, "0001")
		node.upload(t, env)
		go func() {
			<-g.arrived
			g.open <- errors.New("the index cannot be read: input/output error")
		}()
		wantRefused(t, node.submit(t, env), codes.Unavailable, "store_unavailable")
		node.wantHeld(t, id, true)
	}
	close(g.free)
	if _, err := node.content.DropUpload(t.Context(), &exchangev1.DropUploadRequest{Id: "dropped"}); err != nil {
		t.Errorf("drop it: %v", err)
	}
	node.wantHeld(t, "dropped", false)
	env := envelope("again", "0001")
	asUploaded(env)
	if err := node.submit(t, env); err != nil {
		t.Errorf("submit it again: %v", err)
	}
}
