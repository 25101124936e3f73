package main

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strings"

	edgev1 "github.com/lienthong/lienthong/gen/lienthong/edge/v1"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/nodes"
)

// submit submits over the node's pipelined stream and waits for the result.
func (n *demoNode) submit(ctx context.Context, env *exchangev1.Envelope) (*exchangev1.Receipt, error) {
	if n.stream == nil {
		var err error
		if n.stream, err = openStream(ctx, n.client); err != nil {
			return nil, err
		}
	}
	accepted, err := n.stream.submit(ctx, env)
	if err != nil {
		return nil, err
	}
	return accepted.Receipt, nil
}

// receive is the portal: a gRPC stream with credit and acknowledgements.
func (d *demo) receive(ctx context.Context) error {
	err := d.node(portalNode).client.Receive(ctx, func(_ context.Context, delivery *exchangev1.Delivery) error {
		d.board.receivedOne(portalNode, delivery.GetPacket().GetSequence())
		return nil
	}, nodes.ReceiveOptions{Acknowledged: func(sequences []uint64) { d.board.acknowledged(portalNode, sequences) }})
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("the portal stopped receiving: %w", err)
}

// pullWait is how long one pull waits for something to come, in seconds.
const pullWait = "20"

// pull is a system without gRPC: it fetches official XML over HTTPS, then
// acknowledges.
func (d *demo) pull(ctx context.Context) error {
	for ctx.Err() == nil {
		ids, err := d.pullOnce(ctx, financeNode, pullWait)
		if err == nil && len(ids) > 0 {
			err = d.acknowledge(ctx, financeNode, ids)
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("%s: %w", financeNode, err)
		}
	}
	return nil
}

// pullOnce fetches some deliveries and returns their ids.
func (d *demo) pullOnce(ctx context.Context, id, wait string) ([]string, error) {
	got, err := d.call(ctx, d.node(id).http, http.MethodGet, "/Delivery/Pull?max=32&wait="+wait, http.Header{"Accept": {"application/xml"}}, nil)
	if err != nil {
		return nil, err
	}
	var deliveries edgev1.MDeliveries
	if got.status == http.StatusOK {
		_, err = d.codec.DecodeMessage(&deliveries, exchangev1.Format_FORMAT_XML, got.body)
	} else {
		err = fmt.Errorf("HTTP %d", got.status)
	}
	if err != nil {
		return nil, fmt.Errorf("pull: %w", err)
	}
	var ids []string
	for _, delivery := range deliveries.GetDeliveries() {
		sequence, err := sequenceOf(delivery.GetDeliveryId())
		if err != nil {
			return nil, err
		}
		d.board.receivedOne(id, sequence)
		ids = append(ids, delivery.GetDeliveryId())
	}
	return ids, nil
}

// acknowledge writes the XML by hand, as an agency's own system would.
func (d *demo) acknowledge(ctx context.Context, id string, ids []string) error {
	type acknowledge struct {
		XMLName    xml.Name `xml:"MAcknowledge"`
		DeliveryID []string `xml:"DeliveryId"`
	}
	body, err := xml.Marshal(acknowledge{DeliveryID: ids})
	if err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	got, err := d.call(ctx, d.node(id).http, http.MethodPost, "/Delivery/Acknowledge", http.Header{"Content-Type": {"application/xml"}}, body)
	if err != nil {
		return err
	}
	if got.status != http.StatusOK {
		return fmt.Errorf("acknowledge: HTTP %d", got.status)
	}
	var sequences []uint64
	for _, deliveryID := range ids {
		sequence, err := sequenceOf(deliveryID)
		if err != nil {
			return err
		}
		sequences = append(sequences, sequence)
	}
	d.board.acknowledged(id, sequences)
	return nil
}

func sequenceOf(deliveryID string) (uint64, error) {
	var sequence uint64
	if _, err := fmt.Sscanf(strings.TrimSpace(deliveryID), "%d", &sequence); err != nil {
		return 0, fmt.Errorf("delivery id %q: %w", deliveryID, err)
	}
	return sequence, nil
}

// inboxesEmpty checks with the hub that nothing waits for anybody any more.
func (d *demo) inboxesEmpty(ctx context.Context) error {
	for _, n := range d.nodes {
		left, err := n.client.Pull(ctx, &exchangev1.PullRequest{Max: 1})
		if err != nil {
			return fmt.Errorf("look into the inbox of %s: %w", n.id, err)
		}
		if len(left.GetDeliveries()) > 0 {
			return errors.New("the inbox of " + n.id + " is not empty")
		}
	}
	return nil
}
