package gateway_test

const progressXML = `<?xml version="1.0" encoding="utf-8"?>
<MDocumentTraces>
  <DocumentId>7001</DocumentId>
  <DocCode>H41.01.02-240105-0007</DocCode>
  <UserName>Trần Thị Mẫu</UserName>
  <UserPosition>Chuyên viên</UserPosition>
  <DateCreated>2024-01-08T10:00:00.000+07:00</DateCreated>
  <Comment>Đã kiểm tra &amp; chuyển bước</Comment>
  <Status>4</Status>
  <OrganizationInchargeIdLevel1>H41</OrganizationInchargeIdLevel1>
  <OrganizationInchargeName>UBND tỉnh</OrganizationInchargeName>
</MDocumentTraces>
`

const progressJSON = `{"DocumentId":"7001","DocCode":"H41.01.02-240105-0007","UserName":"Trần Thị Mẫu",
"UserPosition":"Chuyên viên","DateCreated":"2024-01-08T10:00:00.000+07:00","Comment":"Đã kiểm tra","Status":4,
"OrganizationInchargeIdLevel1":"H41","OrganizationInchargeName":"UBND tỉnh"}`

const statisticXML = `<?xml version="1.0" encoding="UTF-8"?>
<MStatistic><Month>1</Month><Year>2024</Year><IsMonthStatistic>true</IsMonthStatistic><NewReception>90</NewReception>
<PreExtisting>10</PreExtisting><Total>100</Total><TotalSolved>80</TotalSolved><SolvedInTime>76</SolvedInTime>
<SolvedInTimePercent>95</SolvedInTimePercent><SolvedLate>4</SolvedLate><SolvedLatePercent>5</SolvedLatePercent>
<TotalPending>20</TotalPending><Pending>18</Pending><PendingLate>2</PendingLate><PendingLatePercent>10</PendingLatePercent>
<PendingPercent>90</PendingPercent><Note></Note><OrganizationInchargeIdlevel1>H41</OrganizationInchargeIdlevel1>
<OrganizationInchargeName>UBND tỉnh</OrganizationInchargeName></MStatistic>`

const statisticJSON = `{"Month":1,"Year":2024,"IsMonthStatistic":true,"NewReception":90,"PreExtisting":10,"Total":100,
"TotalSolved":80,"SolvedInTime":76,"SolvedInTimePercent":95,"SolvedLate":4,"SolvedLatePercent":5,"TotalPending":20,
"Pending":18,"PendingLate":2,"PendingLatePercent":10,"PendingPercent":90,"Note":"","OrganizationInchargeIdlevel1":"H41",
"OrganizationInchargeName":"UBND tỉnh"}`

const surveyXML = `<MVotes><DateCreated>2024-01-31T17:00:00.000+07:00</DateCreated><TotalVoted>10</TotalVoted>
<PercentVeryGood>50</PercentVeryGood><PercentGood>40</PercentGood><PercentBad>10</PercentBad>
<Questions><Content>Thái độ phục vụ</Content><PercentVeryGood>50</PercentVeryGood><PercentGood>40</PercentGood><PercentBad>10</PercentBad></Questions>
<OrganizationInchargeIdLevel1>H41</OrganizationInchargeIdLevel1><OrganizationInchargeName>UBND tỉnh</OrganizationInchargeName></MVotes>`

const surveyJSON = `{"DateCreated":"2024-01-31T17:00:00.000+07:00","TotalVoted":10,"PercentVeryGood":"50","PercentGood":40,
"PercentBad":10,"Questions":[{"Content":"Thái độ phục vụ","PercentVeryGood":50,"PercentGood":40,"PercentBad":10}],
"OrganizationInchargeIdLevel1":"H41","OrganizationInchargeName":"UBND tỉnh"}`

const dossierXML = `<?xml version="1.0" encoding="utf-8"?>
<MSyncDocument>
  <DocTypeCode>1.011442.000.00.00.H38</DocTypeCode>
  <DocTypeName>Đăng ký hộ kinh doanh</DocTypeName>
  <DocCode>H41.01.02-240105-0007</DocCode>
  <CitizenName>Nguyễn Văn Mẫu</CitizenName>
  <ApplicantsId>001090000001</ApplicantsId>
  <ApplicantsType>1</ApplicantsType>
  <Phone>0900000001</Phone>
  <DateReceived>2024-01-05T08:00:00.000+07:00</DateReceived>
  <DateAppointed>2024-01-12T17:00:00.000+07:00</DateAppointed>
  <IsSuccess>false</IsSuccess>
  <SuccessDate></SuccessDate>
  <IsReturned>false</IsReturned>
  <ReturnedDate></ReturnedDate>
  <ReturnedType>0</ReturnedType>
  <Status>4</Status>
  <ProcessingOrganName>UBND huyện</ProcessingOrganName>
  <Attachments><AttachmentId>1</AttachmentId><AttachmentName>don.pdf</AttachmentName><IsDeleted>false</IsDeleted><Base64>JVBERi0=</Base64><IsVerified>true</IsVerified></Attachments>
  <OrganInchargeIdLevel1>H41</OrganInchargeIdLevel1>
  <OrganInchargeName>UBND tỉnh</OrganInchargeName>
</MSyncDocument>
`

const dossierJSON = `{"DocTypeCode":"1.011442.000.00.00.H38","DocTypeName":"Đăng ký hộ kinh doanh","DocCode":"H41.01.02-240105-0008",
"CitizenName":"Nguyễn Văn Mẫu","ApplicantsId":"001090000001","ApplicantsType":1,"Phone":"0900000001",
"DateReceived":"2024-01-05T08:00:00.000+07:00","DateAppointed":"2024-01-12T17:00:00.000+07:00","IsSuccess":false,"SuccessDate":"",
"IsReturned":false,"ReturnedDate":"","ReturnedType":0,"Status":4,"ProcessingOrganName":"UBND huyện",
"Attachments":[{"AttachmentId":1,"AttachmentName":"don.pdf","IsDeleted":false,"Base64":"JVBERi0=","IsVerified":true}],
"OrganInchargeIdLevel1":"H41","OrganInchargeName":"UBND tỉnh"}`
