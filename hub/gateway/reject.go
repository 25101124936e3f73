package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	edgev1 "github.com/lienthong/lienthong/gen/lienthong/edge/v1"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// reject says that deliveries cannot be handled.
func (g *gateway) reject(ctx context.Context, c *call) error {
	content, mediaType, err := g.document(c)
	if err != nil {
		return err
	}
	format, _ := formatOf(mediaType)
	m := &edgev1.MReject{}
	if err := g.told(m, format, content); err != nil {
		return err
	}
	sequences, err := deliveryIDs("MReject", m.GetDeliveryId())
	if err != nil {
		return err
	}
	req := &exchangev1.RejectRequest{}
	for _, sequence := range sequences {
		req.Rejections = append(req.Rejections, &exchangev1.Rejection{Sequence: sequence, Reason: m.GetReason(), Final: m.GetFinal()})
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callWithin)
	defer cancel()
	resp, err := g.exchange.Reject(ctx, req)
	if err != nil {
		return err //nolint:wrapcheck // edgeConn has made it presentable
	}
	return g.result(c, http.StatusOK, statusAccepted, rejectedText(resp))
}

func rejectedText(resp *exchangev1.RejectResponse) string {
	again, dead := len(resp.GetRejected()), len(resp.GetDead())
	vi := fmt.Sprintf("Sẽ gửi lại sau: %d.", again)
	en := fmt.Sprintf("To be delivered again later: %d.", again)
	if dead > 0 {
		vi += fmt.Sprintf(" Không giao được: %d.", dead)
		en += fmt.Sprintf(" Dead letters: %d.", dead)
	}
	if list := listed(resp.GetNotWaiting()); list != "" {
		vi += " Không nằm trong tay hệ thống này: " + list + "."
		en += " Were not out with this node: " + list + "."
	}
	return bilingual(vi, en)
}

// listed writes sequences with commas between them.
func listed(sequences []uint64) string {
	ids := make([]string, len(sequences))
	for i, sequence := range sequences {
		ids[i] = strconv.FormatUint(sequence, 10)
	}
	return strings.Join(ids, ", ")
}
