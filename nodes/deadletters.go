package nodes

import (
	"context"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// Reject says that deliveries that were pulled cannot be handled; handlers of Receive
// return a *Rejection. The error is a *Refused.
func (c *Client) Reject(ctx context.Context, rejections ...*exchangev1.Rejection) (*exchangev1.RejectResponse, error) {
	return call(ctx, c, c.exchange.Reject, &exchangev1.RejectRequest{Rejections: rejections})
}

// DeadLetters lists this node's dead letters with sequences after the given one,
// oldest first, at most limit; 0 means 100. GetPacket fetches what they were. The
// error is a *Refused.
func (c *Client) DeadLetters(ctx context.Context, after uint64, limit int) ([]*exchangev1.DeadLetter, error) {
	req := &exchangev1.ListDeadLettersRequest{After: after, Limit: uint32(max(limit, 0))} //nolint:gosec // the hub refuses what is too large
	resp, err := call(ctx, c, c.exchange.ListDeadLetters, req)
	return resp.GetDeadLetters(), err
}

// Redeliver puts dead letters back into the node's inbox, where they are delivered
// anew. The error is a *Refused.
func (c *Client) Redeliver(ctx context.Context, sequences ...uint64) (*exchangev1.SettleDeadLettersResponse, error) {
	return call(ctx, c, c.exchange.SettleDeadLetters, &exchangev1.SettleDeadLettersRequest{Redeliver: sequences})
}

// Discard does away with dead letters, as if they had been acknowledged. The error is
// a *Refused.
func (c *Client) Discard(ctx context.Context, sequences ...uint64) (*exchangev1.SettleDeadLettersResponse, error) {
	return call(ctx, c, c.exchange.SettleDeadLetters, &exchangev1.SettleDeadLettersRequest{Discard: sequences})
}

// DeliveryStatus tells how far a packet has got: of one that this node sent, with each
// of its recipients, in the order of the receipt; of one that it received, with itself.
// The error is a *Refused.
func (c *Client) DeliveryStatus(ctx context.Context, sequence uint64) ([]*exchangev1.DeliveryStatus, error) {
	resp, err := call(ctx, c, c.exchange.GetDeliveryStatus, &exchangev1.GetDeliveryStatusRequest{Sequence: sequence})
	return resp.GetDeliveries(), err
}

// Inbox tells what waits for this node. The error is a *Refused.
func (c *Client) Inbox(ctx context.Context) (*exchangev1.GetInboxResponse, error) {
	return call(ctx, c, c.exchange.GetInbox, &exchangev1.GetInboxRequest{})
}
