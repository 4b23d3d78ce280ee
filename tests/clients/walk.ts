// What a caller writes with the generated types: a charge, its refund, the receipt. It is checked
// by tsc --strict and not run.
import type { components, operations } from "./generated/payments";

type Payment = components["schemas"]["PaymentDetail"];
type Charge = operations["chargePayment"]["requestBody"]["content"]["application/json"];
type Refund = operations["refundPayment"]["responses"]["200"]["content"]["application/json"];
type Receipt = operations["getReceipt"]["responses"]["200"]["content"]["application/json"];
type Problem = operations["chargePayment"]["responses"]["409"]["content"]["application/problem+json"];

async function ask<Answer>(base: string, path: string, body?: object, key?: string): Promise<Answer> {
  const answer = await fetch(base + path, {
    method: body === undefined ? "GET" : "POST",
    headers: { "Content-Type": "application/json", ...(key && { "Idempotency-Key": key }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  if (!answer.ok) {
    const problem = (await answer.json()) as Problem;
    throw new Error(`${problem.code}: ${problem.detail}`);
  }
  return (await answer.json()) as Answer;
}

export async function walk(base: string, order: number): Promise<string> {
  const charge: Charge = { order_id: order, amount: "12.50", currency: "INR", method: "CARD" };
  const payment = await ask<Payment>(base, "/v1/payments/charge", charge, `ts-${order}`);
  const taken: components["schemas"]["PaymentStatus"] = "SUCCESS";
  if (payment.status !== taken) throw new Error(payment.failure_message ?? payment.status);
  const part: components["schemas"]["RefundPayment"] = { amount: "2.50" };
  const path = `/v1/payments/${payment.payment_id}`;
  const refund = await ask<Refund>(base, `${path}/refund`, part, `ts-${order}-refund`);
  const left: components["schemas"]["RefundStatus"] = refund.refund_status;
  const receipt = await ask<Receipt>(base, `${path}/receipt`);
  return `${receipt.receipt_id} ${receipt.net_amount} ${left} ${receipt.lines[0]?.line ?? ""}`;
}
