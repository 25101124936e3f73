package packet_test

import (
	"encoding/xml"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// The packets as a Go program without this package would declare them: plain
// structs for encoding/xml, dates and decimals as text, nothing mapped, checked or
// kept. They are the peer in benchmarks and the second opinion in tests.

type plainDossier struct {
	XMLName                  xml.Name          `xml:"MSyncDocument"`
	DocTypeCode              string            `xml:"DocTypeCode"`
	DocTypeName              string            `xml:"DocTypeName"`
	DocCode                  string            `xml:"DocCode"`
	CitizenName              string            `xml:"CitizenName"`
	CitizenInfo              string            `xml:"CitizenInfo,omitempty"`
	ApplicantsId             string            `xml:"ApplicantsId"`
	ApplicantsType           int32             `xml:"ApplicantsType"`
	Address                  string            `xml:"Address,omitempty"`
	Email                    string            `xml:"Email,omitempty"`
	Phone                    string            `xml:"Phone"`
	Compendium               string            `xml:"Compendium,omitempty"`
	DateReceived             string            `xml:"DateReceived"`
	DateAppointed            string            `xml:"DateAppointed"`
	IsSuccess                bool              `xml:"IsSuccess"`
	SuccessDate              string            `xml:"SuccessDate"`
	ApproverName             string            `xml:"ApproverName,omitempty"`
	ApproverPosition         string            `xml:"ApproverPosition,omitempty"`
	SuccessNote              string            `xml:"SuccessNote,omitempty"`
	IsReturned               bool              `xml:"IsReturned"`
	ReturnedDate             string            `xml:"ReturnedDate"`
	ReturnNote               string            `xml:"ReturnNote,omitempty"`
	ReturnedType             int32             `xml:"ReturnedType"`
	FinishedDate             string            `xml:"FinishedDate,omitempty"`
	Status                   int32             `xml:"Status"`
	ProcessingOrganName      string            `xml:"ProcessingOrganName"`
	HasSupplementary         bool              `xml:"HasSupplementary,omitempty"`
	RequireSupplementaryDate string            `xml:"RequireSupplementaryDate,omitempty"`
	Note                     string            `xml:"Note,omitempty"`
	Attachments              []plainAttachment `xml:"Attachments"`
	DocFees                  []plainFee        `xml:"DocFees"`
	DocPapers                []plainPaper      `xml:"DocPapers"`
	Supplementaries          []plainSupplement `xml:"Supplementaries"`
	OrganInchargeIdLevel1    string            `xml:"OrganInchargeIdLevel1"`
	OrganInchargeName        string            `xml:"OrganInchargeName"`
}

type plainAttachment struct {
	AttachmentId   int32  `xml:"AttachmentId"`
	AttachmentName string `xml:"AttachmentName"`
	IsDeleted      bool   `xml:"IsDeleted,omitempty"`
	Base64         string `xml:"Base64"`
	IsVerified     bool   `xml:"IsVerified"`
}

type plainFee struct {
	FeeName string `xml:"FeeName"`
	FeeType int32  `xml:"FeeType"`
	Price   string `xml:"Price"`
}

type plainPaper struct {
	PaperName string `xml:"PaperName"`
	Amount    int32  `xml:"Amount"`
	PaperType int32  `xml:"PaperType"`
}

type plainSupplement struct {
	SupplementaryId  int32        `xml:"SupplementaryId"`
	SendUser         string       `xml:"SendUser"`
	SendComment      string       `xml:"SendComment"`
	SendDate         string       `xml:"SendDate"`
	ReceivedUser     string       `xml:"ReceivedUser,omitempty"`
	ReceivedComment  string       `xml:"ReceivedComment,omitempty"`
	ReceivedDate     string       `xml:"ReceivedDate"`
	IsReceived       bool         `xml:"IsReceived"`
	Papers           []plainPaper `xml:"Papers"`
	Fees             []plainFee   `xml:"Fees"`
	OldDateAppointed string       `xml:"OldDateAppointed"`
	NewDateAppointed string       `xml:"NewDateAppointed,omitempty"`
}

type plainProgress struct {
	XMLName                      xml.Name `xml:"MDocumentTraces"`
	DocumentId                   string   `xml:"DocumentId"`
	DocCode                      string   `xml:"DocCode"`
	UserName                     string   `xml:"UserName"`
	UserPosition                 string   `xml:"UserPosition"`
	DateCreated                  string   `xml:"DateCreated"`
	Comment                      string   `xml:"Comment,omitempty"`
	Status                       int32    `xml:"Status,omitempty"`
	OrganizationInchargeIdLevel1 string   `xml:"OrganizationInchargeIdLevel1"`
	OrganizationInchargeName     string   `xml:"OrganizationInchargeName"`
}

type plainSurvey struct {
	XMLName                      xml.Name        `xml:"MVotes"`
	DateCreated                  string          `xml:"DateCreated"`
	TotalVoted                   int32           `xml:"TotalVoted"`
	PercentVeryGood              string          `xml:"PercentVeryGood"`
	PercentGood                  string          `xml:"PercentGood"`
	PercentBad                   string          `xml:"PercentBad"`
	Questions                    []plainQuestion `xml:"Questions"`
	OrganizationInchargeIdLevel1 string          `xml:"OrganizationInchargeIdLevel1"`
	OrganizationInchargeName     string          `xml:"OrganizationInchargeName"`
}

type plainQuestion struct {
	DocTypeCode     string `xml:"DocTypeCode,omitempty"`
	Content         string `xml:"Content"`
	PercentVeryGood string `xml:"PercentVeryGood"`
	PercentGood     string `xml:"PercentGood"`
	PercentBad      string `xml:"PercentBad"`
}

type plainStatistic struct {
	XMLName                      xml.Name `xml:"MStatistic"`
	Month                        int32    `xml:"Month"`
	Year                         int32    `xml:"Year"`
	IsMonthStatistic             bool     `xml:"IsMonthStatistic"`
	NewReception                 int32    `xml:"NewReception"`
	PreExtisting                 int32    `xml:"PreExtisting"`
	Total                        int32    `xml:"Total"`
	TotalSolved                  int32    `xml:"TotalSolved"`
	SolvedInTime                 int32    `xml:"SolvedInTime"`
	SolvedInTimePercent          string   `xml:"SolvedInTimePercent"`
	SolvedLate                   int32    `xml:"SolvedLate"`
	SolvedLatePercent            string   `xml:"SolvedLatePercent"`
	TotalPending                 int32    `xml:"TotalPending"`
	Pending                      int32    `xml:"Pending"`
	PendingLate                  int32    `xml:"PendingLate"`
	PendingLatePercent           string   `xml:"PendingLatePercent"`
	PendingPercent               string   `xml:"PendingPercent"`
	Note                         string   `xml:"Note"`
	OrganizationInchargeIdlevel1 string   `xml:"OrganizationInchargeIdlevel1"`
	OrganizationInchargeName     string   `xml:"OrganizationInchargeName"`
}

// newPlain returns an empty plain struct for a type of packet.
func newPlain(typ packetv1.PacketType) any {
	switch typ {
	case dossier:
		return &plainDossier{}
	case progress:
		return &plainProgress{}
	case survey:
		return &plainSurvey{}
	default:
		return &plainStatistic{}
	}
}
