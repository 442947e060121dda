"""REST paths of this app, below /api/v1."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from pipes.views import (
    certificates,
    configuration,
    files,
    generate,
    items,
    ledger,
    pipes,
    preview,
    servers,
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("servers", servers.ServersView.as_view()),
    path("servers/<str:name>", servers.ServerView.as_view()),
    path("servers/<str:name>/test", servers.ServerTestView.as_view()),
    path("servers/<str:name>/browse", servers.BrowseView.as_view()),
    path("servers/<str:name>/browse/cache", generate.BrowseCacheView.as_view()),
    path("servers/<str:name>/read", servers.ReadView.as_view()),
    path("servers/<str:name>/certificate", servers.ServerCertificateView.as_view()),
    path("discovery", servers.DiscoveryView.as_view()),
    path("pipes", pipes.PipesListView.as_view()),
    path("pipes/<str:name>", pipes.PipeView.as_view()),
    path("items", items.ItemsView.as_view()),
    path("items/<int:number>", items.ItemView.as_view()),
    path("items/delete", items.DeleteItemsView.as_view()),
    path("items/generate", generate.GenerateView.as_view()),
    path("items/preview", preview.PreviewView.as_view()),
    path("items/import", files.ImportView.as_view()),
    path("items/export", files.ExportView.as_view()),
    path("items/template", files.TemplateView.as_view()),
    path("ledger", ledger.LedgerView.as_view()),
    path("configuration", configuration.ConfigurationView.as_view()),
    path("configuration/lint", configuration.LintView.as_view()),
    path("configuration/revisions", configuration.RevisionsView.as_view()),
    path("configuration/revisions/<int:number>", configuration.RevisionView.as_view()),
    path("configuration/revisions/<int:number>/restore", configuration.RestoreView.as_view()),
    path("certificates", certificates.CertificatesView.as_view()),
    path("certificates/own", certificates.OwnCertificateView.as_view()),
    path("certificates/own/renew", certificates.RenewView.as_view()),
]
