"""The dashboard's paths, each with and without its trailing slash."""

from django.urls import path, re_path

from hereabouts.control.dashboard import (
    account,
    logs,
    names,
    new,
    one,
    operator,
    operator_accounts,
    pages,
    sign_in,
    sign_up,
    two_factor,
    website,
    websites,
)

urlpatterns = [
    path("", pages.first, name="first"),
    re_path(r"^sign-in/?$", sign_in.sign_in, name="sign_in"),
    re_path(r"^sign-in/code/?$", sign_in.code, name="sign_in_code"),
    re_path(r"^sign-out/?$", sign_in.sign_out, name="sign_out"),
    re_path(r"^websites/?$", websites.websites, name="websites"),
    re_path(r"^websites/new/?$", new.new, name="new_website"),
    re_path(r"^websites/new/recipe/?$", new.recipe, name="new_website_recipe"),
    re_path(r"^websites/new/name/?$", new.name, name="new_website_name"),
    *one.urls(),
    re_path(r"^sign-up/?$", sign_up.sign_up, name="sign_up"),
    re_path(r"^account/?$", account.first, name="account"),
    re_path(r"^account/token/?$", account.token, name="account_token"),
    re_path(rf"^account/{account.AUTHORITIES}$", account.authorities, name="account_authorities"),
    re_path(r"^account/password/?$", account.password, name="account_password"),
    re_path(r"^account/sessions/?$", account.session_list, name="account_sessions"),
    re_path(r"^account/two-factor/?$", two_factor.page, name="account_two_factor"),
    re_path(r"^operator/?$", operator.health, name="operator"),
    re_path(r"^operator/accounts/?$", operator_accounts.account_list, name="operator_accounts"),
    re_path(r"^operator/accounts/(?P<name>[^/]+)/?$", operator_accounts.one_account, name="operator_account"),
    re_path(r"^operator/websites/?$", operator.website_list, name="operator_websites"),
    re_path(r"^operator/certificates/?$", operator.certificate_page, name="operator_certificates"),
    re_path(r"^operator/audit/?$", operator.audit_log, name="operator_audit"),
]
# Whatever is of one website registers itself: its paths are there because its module is imported.
TABBED = (website, names, logs)
