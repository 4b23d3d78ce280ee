// swish-merchant, aimed at our sandbox: asks for a payment, reads it, and once somebody has paid,
// gives it back. Arguments: the sandbox's address, our certificate, key and CA, the merchant's
// number, a reference, a phone, and the sandbox's address for payers.
"use strict";

const assert = require("node:assert");
const { readFileSync } = require("node:fs");
const https = require("node:https");
const Swish = require("swish-merchant");

const [url, cert, key, ca, alias, reference, phone, payers] = process.argv.slice(2);

async function main() {
  const callback = "https://example.com/callbacks";
  const swish = new Swish({
    alias,
    paymentRequestCallback: callback,
    refundRequestCallback: callback,
    cert,
    key,
    ca,
  });
  swish.url = `${url}/swish-cpcapi`;
  swish.httpsAgent = new https.Agent({
    cert: readFileSync(cert),
    key: readFileSync(key),
    ca: readFileSync(ca),
  });
  const asked = await swish.createPaymentRequest({
    phoneNumber: phone,
    amount: "104.86", // it sends amounts as text
    message: "Resa 32",
    payeePaymentReference: reference,
  });
  assert.ok(asked.success);
  const waits = await swish.retrievePaymentRequest({ id: asked.id });
  assert.strictEqual(waits.data.status, "CREATED");
  assert.strictEqual(waits.data.payeePaymentReference, reference);
  await fetch(`${payers}/swish/phones/${asked.id}`, {
    method: "POST",
    body: JSON.stringify({ outcome: "approve" }),
  });
  const paid = await swish.retrievePaymentRequest({ id: asked.id });
  assert.strictEqual(paid.data.status, "PAID");
  assert.strictEqual(Number(paid.data.amount), 104.86);
  const given = await swish.createRefundRequest({
    originalPaymentReference: paid.data.paymentReference,
    amount: "4.86",
    payerPaymentReference: `${reference}R`,
  });
  const back = await swish.retrieveRefundRequest({ id: given.id });
  assert.strictEqual(back.data.status, "PAID");
  await assert.rejects(
    swish.createRefundRequest({
      originalPaymentReference: paid.data.paymentReference,
      amount: "104.86",
    }),
    (error) => JSON.stringify(error).includes("RF08"),
  );
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
