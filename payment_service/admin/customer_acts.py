"""Finds a customer by what is personal, which no address of a page may hold; and erases one, after
asking once more."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, render_template, request, url_for

from payment_service.admin import confirming
from payment_service.admin.admission import now
from payment_service.admin.redirects import see
from payment_service.domain.errors import CustomerBusy, CustomerNotFound, InvalidRequest
from payment_service.domain.operators import StepUpFirst
from payment_service.services import customers, customers_shown


def find_customer() -> Any:
    try:
        found = customers_shown.find(now(), pasted=request.form.get("who", ""))
    except InvalidRequest as error:
        flash(error.detail)
        return see(url_for("admin_customers.index"))
    if len(found) == 1:
        return see(url_for("admin_customer.index", customer_id=found[0]))
    return see(url_for("admin_customers.index", found=".".join(map(str, found))))


def erase_customer(customer_id: int) -> Any:
    here = url_for("admin_customer.index", customer_id=customer_id)
    try:
        if request.method == "POST":
            customers.erase(customer_id=customer_id, caller=confirming.asks())
            flash(f"Customer {customer_id} is erased.")
            return see(url_for("admin_customers.index"))
        customer = customers_shown.one(now(), customer_id=customer_id)
    except CustomerNotFound as error:
        abort(404, str(error))
    except CustomerBusy as error:
        flash(f"Nothing was erased: {error.detail}.")
        return see(here)
    except StepUpFirst as error:
        flash(str(error))
        return see(url_for("admin.step_up", next=request.path))
    return render_template("admin/customer_erase.html", customer=customer, back=here)
