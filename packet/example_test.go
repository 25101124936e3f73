package packet_test

import (
	"errors"
	"fmt"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

func ExampleCodec_Decode() {
	codec, err := packet.NewCodec(packet.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = codec.Decode(packetv1.PacketType_PACKET_TYPE_PROGRESS, exchangev1.Format_FORMAT_XML, []byte(`<MDocumentTraces>
  <DocumentId>7</DocumentId>
  <DocCode>H41.04-261102-0007</DocCode>
  <UserName></UserName>
  <UserPosition>Chuyên viên</UserPosition>
  <DateCreated>hôm qua</DateCreated>
  <OrganizationInchargeIdLevel1>H41</OrganizationInchargeIdLevel1>
</MDocumentTraces>`))
	var invalid *packet.InvalidError
	if errors.As(err, &invalid) {
		for _, f := range invalid.Findings {
			fmt.Printf("%d:%d %s: %.30s\n", f.GetLine(), f.GetColumn(), f.GetField(), f.GetMessageEn())
		}
	}
	// Output:
	// 1:1 MDocumentTraces.OrganizationInchargeName: is required
	// 4:3 MDocumentTraces.UserName: must not be empty
	// 6:3 MDocumentTraces.DateCreated: a date with time and offset is
}
