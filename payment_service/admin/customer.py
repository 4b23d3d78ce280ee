"""One customer: what is kept, the way to its payments, and how it is erased."""

from __future__ import annotations

from flask import abort
from flask_admin import expose

from payment_service.admin.admission import may_see, now
from payment_service.admin.views import Page
from payment_service.domain.errors import CustomerNotFound
from payment_service.domain.pages import MAY, Deed
from payment_service.services import customers_shown


class Customer(Page):
    path = "/customers/<id:customer_id>"
    within = "admin_customers"

    @expose()
    def index(self, customer_id: int) -> str:
        try:
            customer = customers_shown.one(now(), customer_id=customer_id)
        except CustomerNotFound as error:
            abort(404, str(error))
        return self.render(customer=customer, may_erase=may_see(MAY[Deed.ERASE_CUSTOMER]))
